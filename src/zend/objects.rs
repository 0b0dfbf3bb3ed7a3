//! Small things one does with PHP values that the binding crate has no safe word for.

use std::ptr;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::class::RegisteredClass;
use ext_php_rs::exception::{PhpException, PhpResult};
use ext_php_rs::ffi::{
    ZEND_ACC_PUBLIC, executor_globals, zend_hash_get_current_data_ex, zend_hash_get_current_key_zval_ex,
    zend_hash_move_forward_ex, zend_read_property,
};
use ext_php_rs::types::{ZendClassObject, ZendObject, ZendStr, Zval};
use ext_php_rs::zend::ClassEntry;

use crate::convert::errors::invalid;
use crate::zend::engine::zval_try_get_string_func;

/// The key of an array entry.
pub enum PropertyKey<'a> {
    /// An integer.
    Index(i64),
    /// A string, any bytes.
    Name(&'a [u8]),
}

/// Walks an array in order; anything else has no entries. The binding crate's iterator panics on keys that are not UTF-8.
///
/// `visit` may run PHP code: the array and the entry at hand are held meanwhile. An entry that is a PHP reference can be overwritten
/// from outside, and so can the variable that holds the array; held twice, the engine copies the array before it writes into it.
pub fn each<E>(array: &Zval, mut visit: impl FnMut(PropertyKey<'_>, &Zval) -> Result<(), E>) -> Result<(), E> {
    let held = array.dereference().shallow_clone();
    let Some(table) = held.array().map(|table| ptr::from_ref(table).cast_mut()) else { return Ok(()) };
    let mut position = 0;
    loop {
        // SAFETY: `table` lives as long as `held` and is only read; `position` is the cursor the engine asks for, so the
        // array's own cursor stays where it is.
        let entry = unsafe { zend_hash_get_current_data_ex(table, &raw mut position).as_ref() };
        let Some(entry) = entry.map(|entry| entry.dereference().shallow_clone()) else { return Ok(()) };
        let mut key = Zval::new();
        // SAFETY: as above; `key` receives a counted copy, which its drop releases.
        unsafe { zend_hash_get_current_key_zval_ex(table, &raw mut key, &raw const position) };
        match (key.long(), key.zend_str()) {
            (Some(index), _) => visit(PropertyKey::Index(index), &entry)?,
            (None, Some(name)) => visit(PropertyKey::Name(name.as_bytes()), &entry)?,
            (None, None) => {}
        }
        // SAFETY: as above.
        unsafe { zend_hash_move_forward_ex(table, &raw mut position) };
    }
}

/// A PHP string of any bytes.
pub fn text(bytes: &[u8]) -> Zval {
    let mut value = Zval::new();
    value.set_zend_string(ZendStr::new(bytes, false));
    value
}

/// An empty PHP array.
pub fn list() -> Zval {
    let mut value = Zval::new();
    value.set_hashtable(ext_php_rs::types::ZendHashTable::new());
    value
}

/// A PHP integer.
pub fn number(number: i64) -> Zval {
    let mut value = Zval::new();
    value.set_long(number);
    value
}

/// A PHP float.
pub fn float(number: f64) -> Zval {
    let mut value = Zval::new();
    value.set_double(number);
    value
}

/// A PHP boolean.
pub fn truth(truth: bool) -> Zval {
    let mut value = Zval::new();
    value.set_bool(truth);
    value
}

/// A value that holds this object; the object's count goes up by one.
pub fn object(object: &mut ZendObject) -> Zval {
    let mut value = Zval::new();
    value.set_object(object);
    value
}

/// A value that holds a fresh object, of which it becomes the owner.
pub fn owned_object(object: ZBox<ZendObject>) -> Zval {
    let mut value = Zval::new();
    let raw = object.into_raw();
    // SAFETY: `into_raw` hands over a live object with one reference. `set_object` adds one, so the first is given back.
    unsafe {
        value.set_object(&mut *raw);
        ext_php_rs::ffi::ext_php_rs_zend_object_release(raw);
    }
    value
}

/// The bytes PHP makes of a value where it wants a string. `None` when it threw; the exception is pending.
pub fn to_bytes(value: &Zval) -> Option<Vec<u8>> {
    if let Some(text) = value.zend_str() {
        return Some(text.as_bytes().to_vec());
    }
    let mut copy = value.shallow_clone();
    // SAFETY: `copy` is a live value. The engine answers null after throwing, else a string of which we own one reference.
    unsafe {
        let text = zval_try_get_string_func(&raw mut copy);
        (!text.is_null()).then(|| ZBox::<ZendStr>::from_raw(text.cast::<ZendStr>()).as_bytes().to_vec())
    }
}

/// A public property, `None` when it is missing or null.
pub fn property(object: &ZendObject, name: &str) -> Option<Zval> {
    let mut slot = Zval::new();
    // SAFETY: the engine reads `name` with its length. `silent` makes a missing property null. A null scope means the caller's,
    // so private properties stay private. The result points into the object or at `slot`; it is copied before either can go.
    let value = unsafe {
        zend_read_property(
            ptr::null_mut(),
            ptr::from_ref(object).cast_mut(),
            name.as_ptr().cast(),
            name.len(),
            true,
            &raw mut slot,
        )
        .as_ref()
    };
    value.map(|value| value.dereference().shallow_clone()).filter(|value| !value.is_null())
}

/// The object whose method is running, one of ours.
pub fn this() -> Option<&'static mut ZendObject> {
    // SAFETY: on PHP's thread, inside a function of ours that the engine called: its frame is the current one and outlives the call, and
    // so does the object in it.
    unsafe { executor_globals.current_execute_data.as_mut() }.and_then(|frame| frame.This.object_mut())
}

/// The Rust value of the object whose constructor is running, made once.
///
/// A second `__construct` on a live object is refused: it would replace the value beneath the methods that are running. `make` may run
/// PHP code, which may construct the object meanwhile, so it is looked at again.
pub fn construct<T: RegisteredClass>(make: impl FnOnce() -> PhpResult<T>) -> PhpResult<T> {
    let refuse_second = || match this().and_then(|this| ZendClassObject::<T>::from_zend_obj(this)) {
        Some(_) => Err(constructed_already::<T>()),
        None => Ok(()),
    };
    refuse_second()?;
    let value = make()?;
    refuse_second()?;
    Ok(value)
}

/// The error of a second `__construct`.
pub fn constructed_already<T: RegisteredClass>() -> PhpException {
    invalid(format!("this {} is constructed already; make another one with `new`", T::CLASS_NAME))
}

/// Whether the object's class has such a method.
pub fn has_method(object: &ZendObject, name: &str) -> bool {
    class_has_method(object.get_class_entry(), name)
}

/// Whether the class has such a method. `name` is lower case.
pub fn class_has_method(class: &ClassEntry, name: &str) -> bool {
    let table = ptr::from_ref(&class.function_table);
    // SAFETY: the table belongs to the class, which outlives the request.
    unsafe { !ext_php_rs::ffi::zend_hash_str_find(table, name.as_ptr().cast(), name.len()).is_null() }
}

/// The name of the object's class, any bytes.
pub fn class_name(object: &ZendObject) -> Vec<u8> {
    // SAFETY: every class has a name, a live string.
    unsafe { (*object.get_class_entry().name.cast::<ZendStr>()).as_bytes().to_vec() }
}

/// A clone, made by the object's own handler so that `__clone` runs. `None` when it cannot be cloned from outside, or threw.
pub fn clone(object: &ZendObject) -> Option<Zval> {
    let hook = object.get_class_entry().clone;
    // SAFETY: the hook is null or a method of the class. The engine checks who may call it before it comes to the handler, so we do.
    let is_private = unsafe { hook.as_ref() }.is_some_and(|hook| unsafe { hook.common.fn_flags } & ZEND_ACC_PUBLIC == 0);
    if is_private {
        return None;
    }
    // SAFETY: every object has handlers; the clone handler is null for classes that cannot be cloned. It answers an object of
    // which we own one reference, or null after throwing.
    unsafe {
        let raw = ptr::from_ref(object).cast_mut();
        let cloned = (*object.handlers).clone_obj?(raw);
        (!cloned.is_null()).then(|| owned_object(ZBox::from_raw(cloned)))
    }
}
