//! Lets PHP serialize and unserialize objects of a class whose Rust value holds nothing: all that they hold are PHP properties.
//!
//! The binding crate forbids it for every class, because `unserialize()` calls no constructor, and its methods refuse an object that has
//! no Rust value. Such a class gets its value when the object is made instead.

use std::ptr;

use ext_php_rs::class::RegisteredClass;
use ext_php_rs::ffi::zend_object;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::ZendClassObject;
use ext_php_rs::zend::ClassEntry;

/// A class whose objects are complete as soon as they are made, whatever their properties hold.
pub trait PlainObject: RegisteredClass {
    /// The value of every object: one without bytes, so that replacing it changes nothing beneath a method that runs.
    const VALUE: Self;
}

/// Allows it for a class and for those that extend it. Called at the start of each request, before any code of it: at module start the
/// binding crate has not registered its classes yet. Doing it again changes nothing.
pub fn allow<T: PlainObject>() {
    const { assert!(size_of::<T>() == 0, "the value of a plain object has no bytes") };
    let class = ptr::from_ref(T::get_metadata().ce()).cast_mut();
    // SAFETY: an internal class lives as long as the process, belongs to PHP's thread, and none of its objects is being made at the
    // start of a request. The union holds the handler for objects, because the class is no interface.
    unsafe {
        (*class).ce_flags &= !ClassFlags::NotSerializable.bits();
        (*class).__bindgen_anon_2.create_object = Some(create::<T>);
    }
}

/// Makes an object, as the engine does before it calls a constructor, or instead.
unsafe extern "C" fn create<T: PlainObject>(class: *mut ClassEntry) -> *mut zend_object {
    // SAFETY: the engine names a live class, this one or one that extends it; classes outlive their objects. The value follows at once.
    let mut object = unsafe { ZendClassObject::<T>::new_uninit(class.as_ref()) };
    object.initialize(T::VALUE);
    let raw = object.into_raw();
    // SAFETY: `into_raw` hands over a live object with one reference, which the engine takes over.
    unsafe { ptr::from_mut((*raw).get_mut_zend_obj()) }
}
