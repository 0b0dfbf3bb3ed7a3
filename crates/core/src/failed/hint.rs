//! What to do about an exception whose own text does not say it.

const JOB_TYPE: &str = "handlers get a Ferry\\Job as their first argument: declare it so, or as think\\queue\\Job, or let the worker option `job` \
                        make the object";

/// What PHP prints of an exception, its first line completed with what to do when a handler declares its job as another class.
pub fn with_hint(exception: String) -> String {
    let end = exception.find('\n').unwrap_or(exception.len());
    let (first, rest) = exception.split_at(end);
    if is_about_the_job(first) { format!("{first} ({JOB_TYPE}){rest}") } else { exception }
}

/// `TypeError: SendMail::fire(): Argument #1 ($job) must be of type Other, Ferry\Job given, called in ...`
fn is_about_the_job(line: &str) -> bool {
    let is_given = |class: &str| line.contains(&format!(", {class} given"));
    line.starts_with("TypeError: ")
        && line.contains("(): Argument #1 ")
        && (is_given("Ferry\\Job") || is_given("Ferry\\Think\\Job"))
}

#[cfg(test)]
mod tests {
    use super::with_hint;

    #[test]
    fn a_handler_that_declares_another_job_is_told_what_it_gets() {
        let text =
            "TypeError: A::fire(): Argument #1 ($job) must be of type B, Ferry\\Job given, called in x.php:1\nStack trace:\n#0";
        let told = with_hint(text.to_owned());
        assert!(told.starts_with("TypeError: A::fire(): Argument #1"), "{told}");
        assert!(told.contains("called in x.php:1 (handlers get a Ferry\\Job"), "{told}");
        assert!(told.ends_with("\nStack trace:\n#0"), "{told}");
    }

    #[test]
    fn other_exceptions_stay_as_they_are() {
        let texts = [
            "",
            "RuntimeException: A::fire(): Argument #1 ($job) must be of type B, Ferry\\Job given",
            "TypeError: A::fire(): Argument #2 ($data) must be of type array, string given",
            "TypeError: send(): Argument #1 ($to) must be of type string, array given\n#0 , Ferry\\Job given",
        ];
        for text in texts {
            assert_eq!(with_hint(text.to_owned()), text);
        }
    }
}
