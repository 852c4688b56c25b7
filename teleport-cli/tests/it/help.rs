//! Help, completions and the manual.

use crate::common::teleport;

#[tokio::test]
async fn every_command_has_help_with_examples() {
    let help = teleport(&["--help"]).await;
    assert!(help.out.contains("Exit codes:") && help.code == 0, "{help:?}");
    let commands = help.out.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> =
        commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let ran = teleport(&[name, "--help"]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name}");
        assert!(ran.out.contains(&format!("Examples:\n  teleport {name}")), "{name}: {}", ran.out);
    }
}

#[tokio::test]
async fn completions_and_manual_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = teleport(&["completions", shell]).await;
        assert!(ran.code == 0 && ran.out.contains("push-number") && ran.out.contains("routes"), "{shell}");
    }
    let page = teleport(&["man"]).await;
    assert!(page.out.contains(".TH teleport 1") && page.out.contains("teleport\\-pull"), "{}", page.out);
    let dir = std::env::temp_dir().join(format!("teleport-cli-man-{}", std::process::id()));
    let ran = teleport(&["man", dir.to_str().unwrap()]).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    let pull = std::fs::read_to_string(dir.join("teleport-pull.1")).unwrap();
    assert!(pull.contains("push\\-number"), "{pull}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_word_that_is_no_command_is_told_what_is_near() {
    let ran = teleport(&["pul"]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("'pull'"), "{}", ran.err);
}
