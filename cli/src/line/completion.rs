//! Completion scripts for shells.

use clap_complete::Shell;

use super::parse::parser;
use crate::error::CfError;

/// The script for `bash`, `zsh` or `fish`.
pub fn script(shell: &str) -> Result<String, CfError> {
    let shell = match shell {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        other => {
            return Err(CfError::Usage(format!(
                "no completion for {other:?}: bash, zsh and fish are known"
            )));
        }
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut parser(), "cf", &mut script);
    String::from_utf8(script).map_err(|e| CfError::Other(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;

    #[test]
    fn the_scripts_name_every_command() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell).expect("a script");
            for spec in commands::all() {
                let named = script
                    .split(|c: char| !(c.is_alphanumeric() || c == '-'))
                    .any(|word| word == spec.name);
                assert!(named, "{shell}: {}", spec.name);
            }
        }
    }

    #[test]
    fn an_unknown_shell_is_refused_with_the_known_ones() {
        let error = script("tcsh").expect_err("refused").to_string();
        assert!(error.contains("bash, zsh and fish"), "{error}");
    }
}
