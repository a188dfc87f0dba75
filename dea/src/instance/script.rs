//! The shell script that becomes an instance. The environment is given to the
//! process itself, not exported here: a script stands in argv, where every user
//! of the host could read the credentials.

/// Wraps a start command as the original did: profile scripts of the buildpack
/// are sourced, the working directory is `app`, and the command replaces the shell.
/// `.profile` is sourced too, as later runtimes do.
pub fn start(command: &str) -> String {
    format!(
        "umask 077\n\
         unset GEM_PATH\n\
         for script in app/.profile.d/*.sh; do [ -r \"$script\" ] && . \"$script\"; done\n\
         DROPLET_BASE_DIR=$PWD\n\
         cd app || exit 255\n\
         [ -r .profile ] && . ./.profile\n\
         echo $$ >> \"$DROPLET_BASE_DIR/run.pid\"\n\
         exec bash -c {}",
        quoted(command)
    )
}

/// Unpacks a droplet into the home directory. The archive may only write below
/// it: tar refuses absolute names and `..` by default, and runs inside anyway.
pub fn unpack(droplet: &str) -> String {
    format!(
        "umask 022 && mkdir -p /home/vcap/app /home/vcap/logs /home/vcap/tmp && cd /home/vcap && tar -xzf {}",
        quoted(droplet)
    )
}

/// A word that the shell takes literally.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_every_special_character() {
        let nasty = "a'b\"c$d`e\\f g\n*";
        let out = std::process::Command::new("bash")
            .arg("-c")
            .arg(format!("printf %s {}", quoted(nasty)))
            .output();
        assert_eq!(out.map(|o| o.stdout).ok(), Some(nasty.as_bytes().to_vec()));
    }

    #[test]
    fn the_command_replaces_the_shell_in_the_app_directory() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir_all(dir.path().join("app/.profile.d")).expect("mkdir");
        std::fs::write(
            dir.path().join("app/.profile.d/a.sh"),
            "export FROM_PROFILE=yes\n",
        )
        .expect("write");
        let out = std::process::Command::new("bash")
            .arg("-c")
            .arg(start("echo $$ $FROM_PROFILE $(basename $PWD)"))
            .current_dir(dir.path())
            .output()
            .expect("bash");
        let text = String::from_utf8_lossy(&out.stdout);
        let recorded = std::fs::read_to_string(dir.path().join("run.pid")).expect("run.pid");
        assert_eq!(text.trim(), format!("{} yes app", recorded.trim()));
    }
}
