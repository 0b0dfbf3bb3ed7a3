//! The setting `ferry.url` without its password: `php --re`, `ini_get()` and `ini_get_all()` show what the engine's table of settings holds and ask
//! no displayer. So the table holds the masked DSN, and the real one is kept here.
//!
//! The engine stores what was written: when the module starts, when FPM starts a child of a pool, and for a request to a host with
//! settings of its own. It is masked at module start and at the start of each request, before any PHP code runs.

use std::cell::RefCell;
use std::ptr::null_mut;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::ffi::{executor_globals, zend_ini_entry, zend_string};
use ext_php_rs::types::ZendStr;
use ferry_core::config;

thread_local! {
    static SETTING: RefCell<UrlSetting> = const { RefCell::new(UrlSetting { entry: null_mut(), process: None, request: None }) };
}

struct UrlSetting {
    /// In the engine's table, for as long as the module is there.
    entry: *mut zend_ini_entry,
    /// What holds for the process.
    process: Option<HiddenUrl>,
    /// What holds for this request only; then the engine has kept the entry's value of the process.
    request: Option<HiddenUrl>,
}

/// A DSN, and the string that stands for it in the engine's table.
struct HiddenUrl {
    shown: *const zend_string,
    url: String,
}

/// Looks the entry up and masks it. Called at module start, once the entries are registered.
pub fn watch() {
    // SAFETY: at module start, on one thread; the table holds pointers to entries.
    let entry = unsafe {
        let found = executor_globals.ini_directives.as_ref().and_then(|directives| directives.get("ferry.url"));
        found.map_or(null_mut(), |entry| entry.value.ptr.cast())
    };
    SETTING.with_borrow_mut(|setting| setting.entry = entry);
    hide();
}

/// Masks a value that came since. Called at the start of a request.
pub fn hide() {
    SETTING.with_borrow_mut(UrlSetting::hide);
}

/// Forgets the value of the request that ends; the engine is about to put that of the process back.
pub fn end_request() {
    SETTING.with_borrow_mut(|setting| setting.request = None);
}

/// The DSN as it was written; `None` when there is none.
pub fn url() -> Option<String> {
    SETTING.with_borrow(|setting| setting.hidden().map(|hidden| hidden.url.clone()).or_else(|| setting.shown()))
}

impl UrlSetting {
    /// What the engine's table holds.
    fn value(&self) -> *mut zend_string {
        // SAFETY: null, or the engine's entry, which lives as long as the module.
        unsafe { self.entry.as_ref() }.map_or(null_mut(), |entry| entry.value)
    }

    fn shown(&self) -> Option<String> {
        // SAFETY: null or a live string, copied before anything can change it.
        let text = unsafe { self.value().cast::<ZendStr>().as_ref() }?;
        Some(String::from_utf8_lossy(text.as_bytes()).into_owned())
    }

    fn hidden(&self) -> Option<&HiddenUrl> {
        let value = self.value().cast_const();
        [&self.request, &self.process].into_iter().flatten().find(|hidden| hidden.shown == value)
    }

    fn hide(&mut self) {
        if self.hidden().is_some() {
            return;
        }
        let Some(url) = self.shown().filter(|url| !url.is_empty()) else { return };
        let masked = config::masked(&url);
        if masked == url {
            return;
        }
        // Persistent: the engine lets go of it when it puts another value there, or at its end.
        let shown = ZendStr::new(masked, true).into_raw();
        // SAFETY: shown() found the entry and a value, so neither is null. The entry owns one reference to its value; ours takes its
        // place, and what was there is let go.
        let is_of_request = unsafe {
            let former = std::mem::replace(&mut (*self.entry).value, shown);
            drop(ZBox::from_raw(former.cast::<ZendStr>()));
            (*self.entry).modified != 0
        };
        let hidden = Some(HiddenUrl { shown, url });
        if is_of_request { self.request = hidden } else { self.process = hidden }
    }
}
