//! Connector libraries, good and bad, in `plugin.path`.

use crate::{
    http::request,
    node::{eventually, free_port, post},
};
use levada_daemon::connect::plugin::{Scanned, ScannedClass, Scanner};
use levada_env::RealDisk;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const LEVADA: &str = env!("CARGO_BIN_EXE_levada");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Compiles C into a library.
fn compile(library: &Path, source: &str) {
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let file = library.with_extension("c");
    fs::write(&file, source).unwrap();
    let header = format!("-I{ROOT}/connector-api");
    let output = Command::new("cc").args(["-shared", "-fPIC", &header, "-o"]).arg(library).arg(&file).output();
    let output = output.expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(file).unwrap();
}

/// The example, with its source under the name of `class`.
fn example(class: &str) -> String {
    let source = fs::read_to_string(format!("{ROOT}/examples/c-connector/connector.c")).unwrap();
    assert!(source.contains("c.Count"));
    source.replace("c.Count", class)
}

/// A constructor that does `body`.
fn constructor(body: &str) -> String {
    format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void begin(void) {{ {body} }}\n{}",
        example("c.Never")
    )
}

/// An entry with these first fields, and nothing behind them.
fn entry(fields: &str) -> String {
    format!("#include \"connector.h\"\nLEVADA_EXPORT const levada_plugin levada_plugin_entry = {{ {fields} }};")
}

fn scan(timeout: Duration, directories: &[PathBuf]) -> Vec<Scanned> {
    Scanner { program: PathBuf::from(LEVADA), timeout }.scan(&RealDisk::new(), directories)
}

#[test]
fn each_bad_library_is_told_with_its_reason_and_the_good_ones_with_their_classes() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let full = ".magic = LEVADA_MAGIC, .struct_size = sizeof(levada_plugin), .abi_major = 9, .abi_minor = 2";
    fs::write(at("a-text.so"), "no library at all").unwrap();
    compile(&at("b-other.so"), "int other(void) { return 1; }");
    compile(&at("c-version.so"), &entry(full));
    compile(&at("d-mark.so"), &entry(".magic = 1"));
    compile(&at("e-crash.so"), &constructor("*(volatile int *)0 = 1;"));
    compile(&at("f-exit.so"), &constructor("_exit(0);"));
    compile(&at("g-talk.so"), &constructor("for (;;) puts(\"and another thing\");"));
    compile(&at("h-symbol.so"), "int missing(void); int use(void) { return missing(); }");
    compile(&at("i-abort.so"), &constructor("abort();"));
    compile(&at("j-chatty.so"), &constructor("printf(\"hello\");"));
    fs::write(at("readme.txt"), "not looked at").unwrap();
    compile(&at("sub/good.so"), &example("c.Count"));
    let found = scan(Duration::from_secs(120), &[home.path().to_owned(), at("nowhere")]);
    let reasons = [
        ("a-text.so", "can't be loaded as a library"),
        ("b-other.so", "no symbol `levada_plugin_entry`"),
        ("c-version.so", "version 9.2 of the plugin interface"),
        ("d-mark.so", "mark of a plugin entry"),
        ("e-crash.so", "signal 11, SIGSEGV"),
        ("f-exit.so", "exit code 0"),
        ("g-talk.so", "printed more than"),
        ("h-symbol.so", "missing"),
        ("i-abort.so", "signal 6, SIGABRT"),
    ];
    for (scanned, (name, reason)) in found.iter().zip(reasons) {
        assert_eq!(scanned.path, at(name));
        let told = scanned.report.as_ref().unwrap_err();
        assert!(told.contains(reason), "{name}: {told}");
    }
    let rest = found.get(reasons.len()..).unwrap();
    let class =
        |class: &str, kind: &str| ScannedClass { class: class.into(), kind: kind.into(), version: "1.0".into() };
    let good = |first: &str| Ok(vec![class(first, "source"), class("c.Lines", "sink")]);
    assert_eq!(rest[0], Scanned { path: at("j-chatty.so"), report: good("c.Never") });
    assert_eq!(rest[1], Scanned { path: at("sub/good.so"), report: good("c.Count") });
    assert_eq!(rest[2].path, at("nowhere"));
    assert!(rest[2].report.as_ref().unwrap_err().contains("directory can't be read"));
    assert_eq!(rest.len(), 3);
}

#[test]
fn a_library_that_hangs_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    compile(&home.path().join("hang.so"), &constructor("for (;;) pause();"));
    let found = scan(Duration::from_millis(200), &[home.path().to_owned()]);
    assert_eq!(found[0].report, Err("loading it did not end within plugin.scan.timeout.ms=200".to_owned()));
}

/// A daemon of its own process.
struct Daemon {
    process: Child,
    rest: String,
}

impl Daemon {
    async fn start(home: &Path, plugins: &[&Path], placement: &[&str]) -> Self {
        let rest = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(LEVADA);
        command.args(["serve", "--kafka-listen", "127.0.0.1:0", "--rest-listen", &rest, "--data-dir"]);
        command.arg(home.join("data")).args(["--set", "group.initial.rebalance.delay.ms=0"]).args(placement);
        for directory in plugins {
            command.arg("--plugin-path").arg(directory);
        }
        let process =
            command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let daemon = Self { process: process.unwrap(), rest };
        let answers = || async { levada_env::net::TcpStream::connect(&daemon.rest).await.is_ok() };
        eventually("the daemon answers", answers).await;
        daemon
    }

    async fn plugins(&self) -> Value {
        let (status, body) = request(&self.rest, "GET", "/v1/plugins", None).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const BUILT_IN: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_c_connector_moves_records_in_the_daemon_beside_bad_libraries() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    compile(&first.join("bad.so"), &constructor("abort();"));
    compile(&first.join("count.so"), &example("c.Count"));
    compile(&second.join("again.so"), &example(BUILT_IN));
    let daemon = Daemon::start(home.path(), &[&first, &second], &["--set", "plugin.placement=dylib"]).await;

    let listed = daemon.plugins().await;
    let of = |class: &str| {
        let plugins = listed["plugins"].as_array().unwrap();
        plugins
            .iter()
            .find(|plugin| plugin["class"] == class)
            .unwrap_or_else(|| panic!("no {class} in {listed}"))
            .clone()
    };
    let path = |path: PathBuf| json!(path.to_str().unwrap());
    assert_eq!(
        (&of("c.Count")["placement"], &of("c.Count")["location"]),
        (&json!("dylib"), &path(first.join("count.so")))
    );
    assert_eq!(of(BUILT_IN)["location"], path(second.join("again.so")), "a library comes before what is compiled in");
    assert_eq!(of("FileSource")["placement"], "static");
    let superseded = listed["superseded"].as_array().unwrap();
    assert_eq!(superseded.len(), 1);
    assert_eq!((&superseded[0]["class"], &superseded[0]["location"]), (&json!(BUILT_IN), &Value::Null));
    assert_eq!(superseded[0]["by"], path(second.join("again.so")));
    let refused = listed["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 2, "{listed}");
    assert!(refused[0]["reason"].as_str().unwrap().contains("SIGABRT"));
    let reason = refused[1]["reason"].as_str().unwrap();
    assert!(reason.contains("its c.Lines is not used") && reason.contains("count.so"), "{reason}");

    let string = "org.apache.kafka.connect.storage.StringConverter";
    let output = home.path().join("out");
    let bad = json!({ "connector.class": "c.Count", "topic": "t", "count": "13" });
    let (status, body) =
        request(&daemon.rest, "POST", "/connectors", Some(&json!({ "name": "bad", "config": bad }))).await;
    assert!(status == 400 && body.contains("13 brings bad luck"), "{status} {body}");
    let source = json!({ "connector.class": "c.Count", "topic": "t", "count": "500", "value.converter": string });
    post(&daemon.rest, "source", source).await;
    let sink = json!({ "connector.class": "c.Lines", "topics": "t", "file": output, "value.converter": string });
    post(&daemon.rest, "sink", sink).await;
    let expected = (1..=500).map(|number| number.to_string()).collect::<Vec<_>>().join("\n") + "\n";
    eventually("all numbers arrive", || async { fs::read_to_string(&output).unwrap_or_default() == expected }).await;
}

/// A function `hang` that returns in the process of a scan and in no other.
const HANG: &str = "\
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void hang(void) {
    char line[8192] = {0};
    FILE *file = fopen(\"/proc/self/cmdline\", \"r\");
    size_t length = fread(line, 1, sizeof line - 1, file);
    for (size_t at = 0; at < length; at++) if (!line[at]) line[at] = ' ';
    if (!strstr(line, \" plugin-scan \")) for (;;) pause();
}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libraries_that_hang_only_in_the_daemon_hold_up_neither_its_start_nor_its_end() {
    let home = tempfile::tempdir().unwrap();
    let plugins = home.path().join("plugins");
    let hangs = |when: &str, class: &str| {
        format!("{HANG}__attribute__(({when})) static void at(void) {{ hang(); }}\n{}", example(class))
    };
    compile(&plugins.join("a-begin.so"), &hangs("constructor", "c.A"));
    compile(&plugins.join("b-begin.so"), &hangs("constructor", "c.B"));
    compile(&plugins.join("c-end.so"), &hangs("destructor", "c.C"));
    let placement = ["--set", "plugin.placement=dylib", "--set", "plugin.scan.timeout.ms=3000"];
    let mut daemon = Daemon::start(home.path(), &[&plugins], &placement).await;
    let listed = daemon.plugins().await;
    let refused = listed["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 2, "{listed}");
    for (file, name) in refused.iter().zip(["a-begin.so", "b-begin.so"]) {
        assert_eq!(file["path"], plugins.join(name).to_str().unwrap());
        assert!(file["reason"].as_str().unwrap().contains("it hung when the daemon loaded it"), "{file}");
    }
    let (input, output) = (home.path().join("in"), home.path().join("out"));
    fs::write(&input, "a line\n").unwrap();
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let source = json!({ "connector.class": BUILT_IN, "file": input, "topic": "t", "value.converter": string });
    post(&daemon.rest, "source", source).await;
    let sink = json!({ "connector.class": "c.Lines", "topics": "t", "file": output, "value.converter": string });
    post(&daemon.rest, "sink", sink).await;
    eventually("the line arrives", || async { fs::read_to_string(&output).unwrap_or_default() == "a line\n" }).await;
    let stopped = Command::new("kill").arg("-TERM").arg(daemon.process.id().to_string()).status();
    assert!(stopped.unwrap().success());
    let mut ended = None;
    for _ in 0..600 {
        ended = daemon.process.try_wait().unwrap();
        if ended.is_some() {
            break;
        }
        levada_env::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "the daemon ends by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libraries_do_not_run_unless_the_placement_says_so() {
    let home = tempfile::tempdir().unwrap();
    let plugins = home.path().join("plugins");
    compile(&plugins.join("count.so"), &example("c.Count"));
    let daemon = Daemon::start(home.path(), &[&plugins], &[]).await;
    let listed = daemon.plugins().await;
    assert!(listed["plugins"].as_array().unwrap().iter().all(|plugin| plugin["placement"] == "static"));
    let reason = listed["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("c.Count, c.Lines") && reason.contains("set plugin.placement=dylib"), "{reason}");
}
