//! The walkthroughs of the manual, run: every `sh` block of a page, in one shell, and what each prints against the page.
//!
//! A page shows real output, so times, ports and drawn names differ; everything else must be the same, word by word.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A block of commands, and what the page says it prints.
#[derive(Debug)]
struct Step {
    commands: String,
    printed: Option<String>,
}

#[test]
fn the_walkthrough_of_mutual_tls_does_what_it_says() {
    let programs = ["openssl", "curl", "jq"];
    let Some(walked) = walk("mtls.md", "", &programs) else {
        return;
    };
    for (step, found) in walked {
        let expected = step.printed.as_deref().unwrap_or_default();
        assert_eq!(comparable(&found), comparable(expected), "{}{found}", step.commands);
    }
}

#[test]
fn the_page_about_agents_does_what_it_says() {
    let Some(walked) = walk("agents.md", "", &["curl", "jq"]) else {
        return;
    };
    for (step, found) in walked {
        let expected = step.printed.as_deref().unwrap_or_default();
        assert_eq!(comparable(&found), comparable(expected), "{}{found}", step.commands);
    }
}

#[test]
fn the_commands_of_the_page_about_keys_rotate_and_revoke() {
    // The page names the key that its gateway had, and takes a gateway for granted.
    let before = r#"
        cambio dev --ready-file ready.json > dev.log 2>&1 &
        until [ -f ready.json ]; do sleep 0.2; done
        key='.keys[] | select(.purpose == "jwt" and .algorithm == "RS256" and .state == "active") | .kid'
        cambio() {
            if [ "$1 $2" = "keys revoke" ]; then
                command cambio keys revoke "$(command cambio keys list --output json | jq -r "$key")" "${@:4}"
            else
                command cambio "$@"
            fi
        }
    "#;
    let Some(walked) = walk("keys.md", before, &["jq"]) else {
        return;
    };
    // How far a rotation has come differs, so the first line is compared; every command ended well.
    for (step, found) in walked {
        let first = |text: &str| comparable(text.lines().next().unwrap_or_default());
        let expected = step.printed.as_deref().unwrap_or_default();
        assert_eq!(first(&found), first(expected), "{}{found}", step.commands);
    }
}

#[test]
fn the_page_about_development_lets_its_reader_be_a_workload() {
    // The page lets the gateway run in another terminal.
    let before = r#"
        cambio() {
            # In the background it is the page that waits.
            if [ "$BASH_SUBSHELL" != 0 ]; then
                exec cambio "$@"
            elif [ "$1" = dev ]; then
                command cambio "$@" > dev.log 2>&1 &
                until [ -f ready.json ]; do sleep 0.2; done
            else
                command cambio "$@"
            fi
        }
    "#;
    let Some(walked) = walk("dev.md", before, &["curl", "jq"]) else {
        return;
    };
    let printed: Vec<&str> = walked.iter().map(|(_, found)| found.trim()).collect();
    let [_, buildkite, machines, tokens, joining, once, keyed] = printed[..] else {
        panic!("{printed:?}");
    };
    let keys = |text: &str| text.lines().filter(|line| line.starts_with("ASIA")).count();
    assert_eq!(keys(buildkite), 1, "{buildkite}");
    for expected in [
        "shop-deploy-kubernetes",
        "an instance of AWS: ya29.",
        "a machine of Azure: ASIA",
        "an instance of Compute Engine: ASIA",
    ] {
        assert!(machines.contains(expected), "no `{expected}` in {machines}");
    }
    assert_eq!(keys(tokens), 2, "{tokens}");
    assert!(joining.contains("configuration reloaded"), "{joining}");
    assert_eq!(keys(once), 1, "{once}");
    assert!(
        once.contains("attest.evidence_replayed") && once.ends_with("exit code 4"),
        "{once}"
    );
    assert_eq!(keys(keyed), 1, "{keyed}");
    assert!(
        keyed.contains("is registered") && keyed.contains("is rotated"),
        "{keyed}"
    );
}

#[test]
fn the_function_of_the_page_about_development_says_which_platforms_it_knows() {
    let before = r"
        cambio dev --ready-file ready.json > dev.log 2>&1 &
        until [ -f ready.json ]; do sleep 0.2; done
    ";
    if !present(&["jq"], "dev.md") {
        return;
    }
    let text = fs::read_to_string(root().join("src/manual/dev.md")).unwrap();
    let page = steps(&text);
    let (function, _) = page[1].commands.split_once("\non buildkite").unwrap();
    let asked = ["kuberntes", "hcp_terraform"].map(|name| Step {
        commands: format!("{function}\non {name} cambio whoami || echo \"ended with $?\"\n"),
        printed: None,
    });
    let directory = tempfile::tempdir().unwrap();
    for (name, said) in ["kuberntes", "hcp_terraform"]
        .iter()
        .zip(run(before, &asked, directory.path()))
    {
        let begins = format!("{name} has no variables; these have: ");
        assert!(said.starts_with(&begins) && said.contains(" kubernetes"), "{said}");
        assert!(said.ends_with("ended with 2\n"), "{said}");
    }
}

#[test]
fn what_development_says_to_try_next_can_be_pasted() {
    let before = r"
        cambio dev --ready-file ready.json > dev.log 2>&1 &
        until [ -f ready.json ]; do sleep 0.2; done
        awk '/^Try next/ { next_is_ours = 1 } next_is_ours && /^  /' dev.log > try
        # AWS's own program is judged with the official clients.
        grep -q 'aws sts get-caller-identity' try
        sed -i 's/ -- aws sts/ -- echo aws sts/' try
        # Pasted where another job was tried before.
        export CAMBIO_ID_TOKEN=of-another-job
    ";
    if !present(&["curl", "awk"], "of `cambio dev`") {
        return;
    }
    let step = Step {
        commands: ". ./try\n".to_owned(),
        printed: None,
    };
    let directory = tempfile::tempdir().unwrap();
    let printed = run(before, &[step], directory.path()).concat();
    for expected in [
        "spiffe://dev.cambio.test/ci/acme/shop/deploy",
        "aws-x509-dev: aws_roles_anywhere for spiffe://",
        "aws-dev: aws_sts for spiffe://",
        "https://management.azure.com",
        "deploy@acme-dev.iam.gserviceaccount.com",
        "outcome gcp-dev",
        "is in order",
    ] {
        assert!(printed.contains(expected), "no `{expected}` in {printed}");
    }
}

#[test]
fn the_page_about_the_trail_can_be_followed_by_an_auditor() {
    // The gateway was stopped once, so that its checkpoint need not be waited for.
    let before = r"
        gateway() {
            cambio dev --data-dir world --ready-file ready.json > dev.log 2>&1 &
            until [ -f ready.json ]; do sleep 0.2; done
        }
        gateway
        kill $!
        wait $!
        gateway
    ";
    let Some(walked) = walk("audit.md", before, &["curl", "jq", "sha256sum"]) else {
        return;
    };
    let printed: Vec<&str> = walked.iter().map(|(_, found)| found.trim()).collect();
    let [_, hashes, verified, held, asked, raw] = printed[..] else {
        panic!("{printed:?}");
    };
    let (computed, recorded) = hashes.split_once("  -\n").unwrap();
    assert_eq!(computed, recorded);
    assert_eq!(computed.len(), 64);
    assert!(verified.contains(" entries in 2 chains"), "{verified}");
    assert!(held.contains("held against the given checkpoint of "), "{held}");
    assert!(held.contains(" entries in 2 chains\n"), "{held}");
    // The second chain goes on after the checkpoint of the first stop, and the sink has what came.
    assert!(
        held.contains(" copies in the given file, word for word as in the store"),
        "{held}"
    );
    assert!(
        held.ends_with("nothing but the given file vouches for them yet"),
        "{held}"
    );
    assert!(asked.contains("attest.event_forbidden"), "{asked}");
    assert!(raw.starts_with("{\"v\":1,\"writer\":\""), "{raw}");
}

#[test]
fn the_page_about_http_shows_what_is_answered() {
    // The page takes a relying party for certificates, and a client's certificate, for granted.
    let before = r#"
        cambio dev --ready-file ready.json > dev.log 2>&1 &
        dev=$!
        until [ -f ready.json ]; do sleep 0.2; done
        cat >> "$(jq -r .config_file ready.json)" <<'END'

[[relying_party]]
name = "mesh"
kind = "svid"
x509 = true
shared_audience = true

[[grant]]
name = "shop-in-the-mesh"
entries = ["shop-deploy"]
relying_parties = ["mesh"]
ttl = "1h"
END
        kill -HUP $dev
        until cambio audit query --kind change --admin "$(jq -r .admin ready.json)" 2>&1 | grep -E 'reloaded|was refused'; do sleep 0.2; done
        openssl req -x509 -newkey rsa:2048 -nodes -config /dev/null -subj /CN=job -keyout svid.key -out svid.pem 2> /dev/null
    "#;
    let Some(walked) = walk("http.md", before, &["curl", "jq", "openssl"]) else {
        return;
    };
    let mut compared = 0;
    for (step, found) in walked {
        let Some(printed) = &step.printed else {
            continue;
        };
        assert_eq!(shapes(&found), shapes(printed), "{}{found}", step.commands);
        compared += 1;
    }
    assert!(compared >= 7, "only {compared} answers are shown");
}

/// Returns JSON values without what differs from one answer to the next.
fn shapes(text: &str) -> Vec<Value> {
    fn shape(value: Value) -> Value {
        match value {
            Value::Array(values) => values.into_iter().map(shape).collect(),
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, shape(value))).collect(),
            Value::String(_) => "text".into(),
            Value::Number(_) => 0.into(),
            value @ (Value::Bool(_) | Value::Null) => value,
        }
    }
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values.map(|value| shape(value.unwrap())).collect()
}

#[test]
fn the_readme_does_what_it_says() {
    let before = r#"
        # The words of the README, with the program that was built.
        cargo() {
            [ "$1" != test ] || return 0
            [ "$1 $2 $3" = "run --release --" ] || return 2
            [ -z "$gateway" ] || { kill $gateway; wait $gateway; }
            command cambio "${@:4}" > dev.log 2>&1 &
            gateway=$!
            until grep -q '^serving until' dev.log; do sleep 0.2; done
            sed '/^Try next/,$d' dev.log
        }
        # AWS's own program is judged with the official clients.
        mkdir programs
        printf '#!/bin/sh\nif [ "$AWS_SESSION_TOKEN" ]; then echo with credentials; fi\n' > programs/aws
        chmod +x programs/aws
        PATH=$PWD/programs:$PATH
        set +e
    "#;
    let Some(walked) = walk("../../README.md", before, &["curl", "jq"]) else {
        return;
    };
    assert!(walked.len() >= 7, "{walked:?}");
    for (step, found) in walked {
        let Some(printed) = &step.printed else {
            continue;
        };
        let mut found = without_credentials(&found);
        let mut expected = without_credentials(printed);
        if step.commands.contains("aws sts") {
            assert!(
                found.ends_with(&["with".to_owned(), "credentials".to_owned()]),
                "{found:?}"
            );
            continue;
        }
        // A command's two outputs come in any order.
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{}", step.commands);
    }
}

/// Returns the words in which credentials, and how long they live, are left out.
fn without_credentials(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let word = word.trim_end_matches(',').trim_matches('"');
        if let Some((name, _)) = word.split_once("='") {
            name.to_owned()
        } else if word.bytes().all(|byte| byte.is_ascii_digit()) {
            "NUMBER".to_owned()
        } else if word.starts_with("ASIA") {
            "ASIA".to_owned()
        } else {
            comparable(word).concat()
        }
    };
    text.split_whitespace().map(word).collect()
}

/// Runs `before` and then a page, or says loudly that a program for it is missing.
fn walk(page: &str, before: &str, programs: &[&str]) -> Option<Vec<(Step, String)>> {
    if !present(programs, page) {
        return None;
    }
    let text = fs::read_to_string(root().join("src/manual").join(page)).unwrap();
    let steps = steps(&text);
    assert!(steps.len() > 3, "{page}: only {} blocks of commands", steps.len());
    let directory = tempfile::tempdir().unwrap();
    let printed = run(before, &steps, directory.path());
    Some(steps.into_iter().zip(printed).collect())
}

/// Tells whether the programs are there, and says loudly which walkthrough goes without them.
fn present(programs: &[&str], page: &str) -> bool {
    let found = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(program).exists())
    };
    let missing = programs.iter().find(|program| !found(program));
    if let Some(missing) = missing {
        use std::io::Write as _;
        // Not through the captured output, which nobody sees of a test that passes.
        let _shown = writeln!(std::io::stderr(), "LEFT OUT: the walkthrough {page}: no `{missing}`");
    }
    missing.is_none()
}

/// Returns the blocks of a page; a `text` or `json` block belongs to the commands right above it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines();
    let mut between = true;
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            between |= !line.is_empty();
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n") + "\n";
        match (language, steps.last_mut()) {
            ("sh", _) => steps.push(Step {
                commands: block,
                printed: None,
            }),
            ("text" | "json", Some(step)) if !between => step.printed = Some(block),
            _another => {}
        }
        between = language != "sh";
    }
    steps
}

/// Runs all blocks one after the other in one shell, and returns what each printed on both outputs.
fn run(before: &str, steps: &[Step], directory: &Path) -> Vec<String> {
    let mut script = format!("trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\nset -e\n{before}\n");
    let place = directory.display();
    for (nth, step) in steps.iter().enumerate() {
        fs::write(directory.join(format!(".step-{nth}")), &step.commands).unwrap();
        // A page goes to directories of its own.
        let _infallible = writeln!(script, "{{ . {place}/.step-{nth}; }} > {place}/.printed-{nth} 2>&1");
    }
    fs::write(directory.join(".script"), script).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cambio"));
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut shell = Command::new("bash")
        .arg(".script")
        .current_dir(directory)
        .env("PATH", path.unwrap())
        .env("TMPDIR", directory)
        .env_remove("CAMBIO_ADMIN")
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = shell.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > LONGEST {
            let _asked = Command::new("kill").arg(shell.id().to_string()).status();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let printed: Vec<String> = (0..steps.len())
        .map(|nth| fs::read_to_string(directory.join(format!(".printed-{nth}"))).unwrap_or_default())
        .collect();
    assert!(
        status.is_some_and(|status| status.success()),
        "the shell ended with {status:?}; printed so far: {printed:#?}"
    );
    printed
}

/// Starting a gateway in a debug build, with half of the machine, takes its time.
const LONGEST: Duration = Duration::from_mins(2);

/// Returns the words without what is another one each time.
fn comparable(text: &str) -> Vec<String> {
    let word = |word: &str| {
        if word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            "HEX".to_owned()
        } else if cambio::clock::parse_rfc3339(word).is_some() {
            "TIME".to_owned()
        } else if word.len() == KEY_ID {
            "KEY".to_owned()
        } else {
            word.to_owned()
        }
    };
    text.split_whitespace().map(word).collect()
}

/// The thumbprint of a key, SHA-256 in base64url.
const KEY_ID: usize = 43;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
