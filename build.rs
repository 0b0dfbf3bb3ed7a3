//! Checks the PHP that the extension is built for, and pins the library in memory.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PHP");
    // Threads of ours may outlive PHP's dlclose at process end.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");

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
    assert!((80100..80600).contains(&version), "Ferry supports PHP 8.1 to 8.5: `{php}` is {version}.");
}
