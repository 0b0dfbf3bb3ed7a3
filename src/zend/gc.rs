//! What PHP's cycle collector sees of the values that our objects hold: without it a listener that captures its worker is never freed.

use std::ffi::c_int;
use std::ptr;

use ext_php_rs::class::RegisteredClass;
use ext_php_rs::ffi::{HashTable, zend_get_gc_buffer, zend_object, zval};
use ext_php_rs::types::{ZendClassObject, Zval};

use crate::zend::engine::{zend_get_gc_buffer_create, zend_get_gc_buffer_grow};

/// A class whose Rust value holds PHP values.
pub trait HoldsValues: RegisteredClass {
    /// Shows each value, once for each reference that this object alone owns. A value that several objects share by an `Rc` is shown only
    /// while there is one of them: the collector counts, and would free it twice.
    fn each_value(&self, visit: &mut dyn FnMut(&Zval));
}

/// Lets the collector see what objects of this class hold. Called at module start, before there are any.
pub fn show<T: HoldsValues>() {
    let handlers = ptr::from_ref(T::get_metadata().handlers()).cast_mut();
    // SAFETY: the table is made for this class, lies in a cell that lives as long as the process, and nobody reads it yet: module start
    // runs on one thread.
    unsafe { (*handlers).get_gc = Some(get_gc::<T>) };
}

unsafe extern "C" fn get_gc<T: HoldsValues>(
    object: *mut zend_object,
    table: *mut *mut zval,
    count: *mut c_int,
) -> *mut HashTable {
    // SAFETY: the engine calls this with a live object of the class and two places to fill. The buffer is the engine's own, and stays
    // valid until the next call of a get_gc.
    unsafe {
        let buffer = zend_get_gc_buffer_create();
        let has_table = !(*object).properties.is_null();
        if !has_table {
            let declared = usize::try_from((*(*object).ce).default_properties_count).unwrap_or(0);
            let first = (&raw const (*object).properties_table).cast::<zval>();
            (0..declared).for_each(|at| add(buffer, first.add(at)));
        }
        // A panic must not cross into the engine; what was not shown is not collected.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let ours = ZendClassObject::<T>::from_zend_obj(&*object).and_then(|object| object.obj.as_ref());
            if let Some(ours) = ours {
                ours.each_value(&mut |value| add(buffer, ptr::from_ref(value)));
            }
        }));
        *table = (*buffer).start;
        *count = c_int::try_from((*buffer).cur.offset_from((*buffer).start)).unwrap_or(c_int::MAX);
        if has_table { (*object).properties } else { ptr::null_mut() }
    }
}

/// Adds a value to the buffer, as the engine's inline function does: a copy that owns no reference.
///
/// # Safety
///
/// The buffer is the engine's, and `value` is live.
unsafe fn add(buffer: *mut zend_get_gc_buffer, value: *const zval) {
    // SAFETY: as the caller says; there is room behind `cur` after growing.
    unsafe {
        // Z_REFCOUNTED: the flags of the type stand in its second byte.
        if (*value).u1.type_info & 0xff00 == 0 {
            return;
        }
        if (*buffer).cur == (*buffer).end {
            zend_get_gc_buffer_grow(buffer);
        }
        ptr::copy_nonoverlapping(value, (*buffer).cur, 1);
        (*buffer).cur = (*buffer).cur.add(1);
    }
}
