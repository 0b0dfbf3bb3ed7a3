//! What a method written in PHP declares its parameters as.

use std::ptr;
use std::slice;

use ext_php_rs::ffi::{_ZEND_TYPE_NAME_BIT, ZEND_USER_FUNCTION, zend_function, zend_type};
use ext_php_rs::types::ZendStr;
use ext_php_rs::zend::ClassEntry;

use crate::zend::engine::{_ZEND_TYPE_LIST_BIT, zend_type_list};

/// The class names in the type of each parameter, as they are written. `None` when the class has no such method in PHP code. `method` is in
/// lower case.
pub fn parameter_classes(class: &ClassEntry, method: &str) -> Option<Vec<Vec<String>>> {
    let function = user_function(class, method)?;
    // SAFETY: the head that all kinds of functions share; a function of PHP code has `num_args` records of `zend_arg_info`.
    let parameters = unsafe {
        let common = function.common;
        if common.arg_info.is_null() { &[] } else { slice::from_raw_parts(common.arg_info, common.num_args as usize) }
    };
    Some(parameters.iter().map(|parameter| class_names(&parameter.type_)).collect())
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

fn class_names(declared: &zend_type) -> Vec<String> {
    // SAFETY: the bits say what `ptr` is: the name of one class, or a list of types that lives as long as the function.
    unsafe {
        if declared.type_mask & _ZEND_TYPE_NAME_BIT != 0 {
            let name = declared.ptr.cast::<ZendStr>().as_ref();
            return name.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()).into_iter().collect();
        }
        if declared.type_mask & _ZEND_TYPE_LIST_BIT != 0
            && let Some(list) = declared.ptr.cast::<zend_type_list>().as_ref()
        {
            return slice::from_raw_parts(list.types.as_ptr(), list.num_types as usize).iter().flat_map(class_names).collect();
        }
    }
    Vec::new()
}
