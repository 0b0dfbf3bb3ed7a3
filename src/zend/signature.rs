//! What a method written in PHP declares its parameters as.

use std::ptr;
use std::slice;

use ext_php_rs::ffi::{_ZEND_TYPE_NAME_BIT, ZEND_USER_FUNCTION, zend_arg_info, zend_function, zend_type};
use ext_php_rs::types::ZendStr;
use ext_php_rs::zend::ClassEntry;

use crate::zend::engine::{_ZEND_TYPE_LIST_BIT, zend_type_list};

/// The class names in the type of each parameter, as they are written. `None` when the class has no such method in PHP code. `method` is in
/// lower case.
pub fn parameter_classes(class: &ClassEntry, method: &str) -> Option<Vec<Vec<String>>> {
    let class_names = |parameter: &zend_arg_info| {
        let mut names = Vec::new();
        each_class_name(&parameter.type_, &mut |name| names.push(String::from_utf8_lossy(name).into_owned()));
        names
    };
    Some(parameters(class, method)?.iter().map(class_names).collect())
}

/// Whether the type of the first parameter names this class. `method` is in lower case. Allocates nothing: every job asks.
pub fn first_parameter_names(class: &ClassEntry, method: &str, wanted: &str) -> bool {
    parameters(class, method).and_then(<[_]>::first).is_some_and(|first| {
        let mut names = false;
        each_class_name(&first.type_, &mut |name| names |= name.eq_ignore_ascii_case(wanted.as_bytes()));
        names
    })
}

/// How many arguments the method needs. 0 for one that is not written in PHP.
pub fn required_parameters(class: &ClassEntry, method: &str) -> usize {
    // SAFETY: the head that all kinds of functions share.
    user_function(class, method).map_or(0, |function| unsafe { function.common.required_num_args as usize })
}

fn user_function<'a>(class: &'a ClassEntry, method: &str) -> Option<&'a zend_function> {
    let table = ptr::from_ref(&class.function_table);
    // SAFETY: the table belongs to the class; its entries are pointers to functions that live as long as the class.
    unsafe {
        let entry = ext_php_rs::ffi::zend_hash_str_find(table, method.as_ptr().cast(), method.len()).as_ref()?;
        entry.ptr::<zend_function>()?.as_ref().filter(|function| u32::from(function.type_) == ZEND_USER_FUNCTION)
    }
}

fn parameters<'a>(class: &'a ClassEntry, method: &str) -> Option<&'a [zend_arg_info]> {
    let function = user_function(class, method)?;
    // SAFETY: the head that all kinds of functions share; a function of PHP code has `num_args` records of `zend_arg_info`, which live as
    // long as it.
    unsafe {
        let common = &function.common;
        Some(if common.arg_info.is_null() { &[] } else { slice::from_raw_parts(common.arg_info, common.num_args as usize) })
    }
}

fn each_class_name(declared: &zend_type, visit: &mut dyn FnMut(&[u8])) {
    // SAFETY: the bits say what `ptr` is: the name of one class, or a list of types that lives as long as the function.
    unsafe {
        if declared.type_mask & _ZEND_TYPE_NAME_BIT != 0 {
            if let Some(name) = declared.ptr.cast::<ZendStr>().as_ref() {
                visit(name.as_bytes());
            }
        } else if declared.type_mask & _ZEND_TYPE_LIST_BIT != 0
            && let Some(list) = declared.ptr.cast::<zend_type_list>().as_ref()
        {
            slice::from_raw_parts(list.types.as_ptr(), list.num_types as usize)
                .iter()
                .for_each(|one| each_class_name(one, visit));
        }
    }
}
