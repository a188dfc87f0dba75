//! Megabytes as people write them (`256M`, `1G`) and read them.

/// Megabytes of `256M`, `1G`, `512MB`, `2gb`.
pub fn parse_mb(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_uppercase();
    let digits = upper.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = &upper[digits.len()..];
    let factor = match unit {
        "M" | "MB" => 1,
        "G" | "GB" => 1024,
        "T" | "TB" => 1024 * 1024,
        _ => {
            return Err(format!(
                "invalid size {text:?}: write a number with a unit, e.g. 256M or 1G"
            ));
        }
    };
    let number: u64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("invalid size {text:?}: {digits:?} is not a number"))?;
    number
        .checked_mul(factor)
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("invalid size {text:?}: out of range"))
}

/// `256M`, `1G`, `1.5G` of megabytes.
pub fn show_mb(mb: u64) -> String {
    show_bytes(mb * 1024 * 1024)
}

/// `0`, `512B`, `33.7M`, `1G`: one decimal unless it is zero.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("T", 1 << 40),
        ("G", 1 << 30),
        ("M", 1 << 20),
        ("K", 1 << 10),
    ];
    let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| bytes >= *size) else {
        return if bytes == 0 {
            "0".into()
        } else {
            format!("{bytes}B")
        };
    };
    let text = format!("{:.1}", bytes as f64 / size as f64);
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_a_unit_only() {
        assert_eq!(
            ["256M", "1G", "512mb", "2Gb"].map(|s| parse_mb(s).ok()),
            [Some(256), Some(1024), Some(512), Some(2048)]
        );
        for bad in ["256", "M", "-1M", "1X", "0M", "99999999999999999999G"] {
            assert!(parse_mb(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(
            [0, 512, 1 << 20, 35_337_011, 1 << 30].map(show_bytes),
            ["0", "512B", "1M", "33.7M", "1G"]
        );
    }
}
