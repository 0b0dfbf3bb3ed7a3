//! Checks the PHP that the extension is built for, reads the engine's declarations from its headers, and pins the library in memory.

use std::path::PathBuf;
use std::process::Command;

/// Headers with what `src/zend/engine.rs` lists.
const HEADERS: &str = r#"
#include "php.h"
#include "php_ini.h"
#include "zend_attributes.h"
#include "zend_exceptions.h"
#include "zend_signal.h"
#include "zend_smart_str.h"
#include "ext/date/php_date.h"
#include "ext/json/php_json.h"
#include "ext/spl/spl_exceptions.h"
#include "ext/standard/info.h"
"#;

/// `PHP_VERSION_ID` of the PHP that the extension is written for. composer.json says the same.
const SUPPORTED: std::ops::Range<u32> = 80100..80600;

fn main() {
    for name in ["PHP", "PHP_CONFIG", "PATH", "SQLITE3_LIB_DIR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/zend/engine.rs");
    // Threads of ours may outlive PHP's dlclose at process end.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");

    check_php();
    check_sqlite();
    declare_engine();
}

fn check_php() {
    let php = std::env::var("PHP").unwrap_or_else(|_| "php".to_owned());
    let asked = Command::new(&php).args(["-n", "-r", "echo PHP_ZTS, ' ', PHP_VERSION_ID;"]).output();
    let answer = match asked {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => panic!(
            "Ferry needs the PHP it is built for: `{php}` does not run. Install PHP with its headers (Debian: php-cli php-dev), or set PHP=/path/to/php."
        ),
    };
    let (threads, version) = answer.split_once(' ').unwrap_or(("0", "0"));
    assert!(threads == "0", "Ferry does not support thread-safe (ZTS) builds of PHP yet: `{php}` is one. Use an NTS build.");
    let version: u32 = version.parse().unwrap_or(0);
    println!("cargo:rustc-check-cfg=cfg(php82)");
    if version >= 80200 {
        println!("cargo:rustc-cfg=php82");
    }
    assert!(SUPPORTED.contains(&version), "Ferry supports PHP 8.1 to 8.5: `{php}` is {version}.");
}

/// Links a program with the system's SQLite: a missing library would otherwise be a page of linker arguments after minutes of compiling.
fn check_sqlite() {
    // The drivers of all databases share a crate, which links it.
    let databases = ["SQLITE", "MYSQL", "POSTGRES"];
    let wanted = databases.iter().any(|name| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some());
    if !wanted || std::env::var_os("SQLITE3_LIB_DIR").is_some() {
        return;
    }
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = folder.join("links_sqlite.c");
    std::fs::write(&source, "int main(void) { return 0; }\n")
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", source.display()));
    let links = Command::new("cc").arg(&source).arg("-o").arg(folder.join("links_sqlite")).arg("-lsqlite3").output();
    let output = links
        .unwrap_or_else(|error| panic!("Ferry needs a C compiler to link: `cc` does not run ({error}). Debian: gcc libc6-dev."));
    assert!(
        output.status.success(),
        "Ferry needs the system's SQLite library: linking with -lsqlite3 fails. Install it (Debian: libsqlite3-dev), set \
         SQLITE3_LIB_DIR to its folder, or build without that driver: --no-default-features --features redis,amqp.\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes `engine.rs` of OUT_DIR: the symbols that `src/zend/engine.rs` names, declared as the installed headers declare them. A
/// declaration written by hand was wrong once, and nothing but a crash tells.
fn declare_engine() {
    let mut builder = bindgen::Builder::default()
        .header_contents("engine.h", HEADERS)
        .clang_args(include_flags())
        // The types are those of the binding crate.
        .allowlist_recursively(false)
        .layout_tests(false)
        .formatter(bindgen::Formatter::None)
        .raw_line("use ext_php_rs::ffi::*;")
        .allowlist_type("_?zend_json_globals|php_json_error_code")
        // Only pointers to it are used.
        .allowlist_type("_?zend_attribute")
        .opaque_type("_zend_attribute");
    for name in engine_symbols() {
        builder = builder.allowlist_item(name);
    }
    let bindings = builder.generate().unwrap_or_else(|error| panic!("cannot read the headers of PHP: {error}")).to_string();
    println!("cargo:rustc-check-cfg=cfg(zend_signals)");
    if bindings.contains("fn zend_sigaction") {
        println!("cargo:rustc-cfg=zend_signals");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("engine.rs");
    std::fs::write(&out, bindings).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}

/// The names between `pub use generated::{` and `}` in `src/zend/engine.rs`: one list, in the place where people look for it.
fn engine_symbols() -> Vec<String> {
    let source = std::fs::read_to_string("src/zend/engine.rs").expect("src/zend/engine.rs is part of the source");
    let lists = source.split("pub use generated::").skip(1);
    let names = lists.filter_map(|rest| rest.split(';').next()).flat_map(|list| list.split([',', '{', '}']));
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    names.push("zend_sigaction".to_owned());
    names
}

fn include_flags() -> Vec<String> {
    let php_config = std::env::var("PHP_CONFIG").unwrap_or_else(|_| "php-config".to_owned());
    let asked = Command::new(&php_config).arg("--includes").output();
    let Some(output) = asked.ok().filter(|output| output.status.success()) else {
        panic!(
            "Ferry needs PHP's headers: `{php_config} --includes` fails. Install them (Debian: php-dev), or set PHP_CONFIG=/path/to/php-config."
        );
    };
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}
