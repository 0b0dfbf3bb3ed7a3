//! The ini entries and the phpinfo section.

use std::ffi::CStr;
use std::path::PathBuf;

use ext_php_rs::ffi::{
    php_info_print_table_end, php_info_print_table_row, php_info_print_table_start, php_printf, zend_ini_entry,
};
use ext_php_rs::flags::IniEntryPermission;
use ext_php_rs::zend::{IniEntryDef, IniEntryDefs, ModuleEntry};
use ferry_core::dialect::Family;

use crate::zend::engine::{display_ini_entries, zend_ini_string_ex};
use crate::zend::url_setting;

static ENTRIES: IniEntryDefs<4> = IniEntryDefs::new([
    masked(IniEntryDef::new(c"ferry.url", c"", IniEntryPermission::System)),
    IniEntryDef::new(c"ferry.think_names", c"1", IniEntryPermission::System),
    IniEntryDef::new(c"ferry.spool", c"", IniEntryPermission::System),
    IniEntryDef::end(),
]);

/// An entry whose value is not shown: a DSN holds a password.
const fn masked(mut entry: IniEntryDef) -> IniEntryDef {
    entry.displayer = Some(say_whether_set);
    entry
}

unsafe extern "C" fn say_whether_set(entry: *mut zend_ini_entry, _kind: std::ffi::c_int) {
    // SAFETY: the engine calls this with a live entry, whose value is null or a live string.
    let set = unsafe { !(*entry).value.is_null() && (*(*entry).value).len > 0 };
    let text = if set { c"set (not shown)" } else { c"no value" };
    // SAFETY: two NUL-terminated strings, the first of which takes one.
    unsafe { php_printf(c"%s".as_ptr(), text.as_ptr()) };
}

/// Registers the entries.
pub fn register(module_number: i32) {
    IniEntryDef::register(ENTRIES.as_slice(), module_number);
    url_setting::watch();
}

/// The DSN of the default connection: `FERRY_URL`, else `ferry.url`. `None` when neither is set.
pub fn url() -> Option<String> {
    std::env::var("FERRY_URL").ok().or_else(url_setting::url).filter(|url| !url.is_empty())
}

/// Whether the names of think-queue are offered when Composer has none. Defaults to yes.
pub fn think_names() -> bool {
    value(c"ferry.think_names")
        .is_none_or(|value| !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "off" | "no" | "false"))
}

/// The file for jobs that no broker took at the end of a request. `None` when it is not set.
pub fn spool() -> Option<PathBuf> {
    value(c"ferry.spool").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn value(name: &CStr) -> Option<String> {
    // SAFETY: the name is NUL-terminated and its length right; the answer is null or a NUL-terminated string of the engine,
    // copied before anything can change it.
    unsafe {
        let value = zend_ini_string_ex(name.as_ptr(), name.count_bytes(), 0, std::ptr::null_mut());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}

/// The phpinfo section.
pub extern "C" fn info(module: *mut ModuleEntry) {
    let drivers = std::ffi::CString::new(ferry_client::drivers().join(", ")).unwrap_or_default();
    let families = std::ffi::CString::new(Family::ALL.map(Family::name).join(", ")).unwrap_or_default();
    let version = concat!(env!("CARGO_PKG_VERSION"), "\0");
    // SAFETY: each row takes as many NUL-terminated strings as it is told.
    unsafe {
        php_info_print_table_start();
        php_info_print_table_row(2, c"Ferry".as_ptr(), c"enabled".as_ptr());
        php_info_print_table_row(2, c"Version".as_ptr(), version.as_ptr());
        php_info_print_table_row(2, c"Drivers".as_ptr(), drivers.as_ptr());
        php_info_print_table_row(2, c"TLS".as_ptr(), c"rustls (ring), verified by default".as_ptr());
        php_info_print_table_row(2, c"Wire families".as_ptr(), families.as_ptr());
        php_info_print_table_end();
        display_ini_entries(module.cast());
    }
}
