//! The key table as Markdown, for `docs/configuration.md` and `docs/zh-CN/configuration.md`.

use std::fmt::Write;

use super::keys::{ConfigKey, Fallback, Group, Holds, KEYS};

/// A language of the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl Language {
    fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Language::En => en,
            Language::Zh => zh,
        }
    }
}

/// The tables of all keys, one for each group.
pub fn markdown(language: Language) -> String {
    let mut out = String::new();
    for group in Group::ALL {
        let head = language.pick("| key | holds | default | meaning |", "| 键 | 值 | 默认 | 含义 |");
        // Writing to a string cannot fail.
        let _ = write!(out, "### {}\n\n{head}\n|---|---|---|---|\n", title(group, language));
        for key in KEYS.iter().filter(|key| key.group == group && key.alias_of.is_none()) {
            out.push_str(&row(key, language));
        }
        out.push('\n');
    }
    out
}

fn title(group: Group, language: Language) -> &'static str {
    let (en, zh) = match group {
        Group::Top => ("The whole array", "整个数组"),
        Group::Every => ("Every connection", "所有连接"),
        Group::Redis => ("`redis`", "`redis`"),
        Group::Sql => {
            ("Databases: `sqlite`, `mysql`, `postgres`, `database`", "数据库：`sqlite`、`mysql`、`postgres`、`database`")
        }
        Group::Sqlite => ("`sqlite`", "`sqlite`"),
        Group::SqlServer => ("`mysql` and `postgres`", "`mysql` 与 `postgres`"),
        Group::Amqp => ("`amqp`", "`amqp`"),
        Group::Tls => ("The `tls` array", "`tls` 数组"),
        Group::Failed => ("The `failed` array", "`failed` 数组"),
    };
    match language {
        Language::En => en,
        Language::Zh => zh,
    }
}

fn row(key: &ConfigKey, language: Language) -> String {
    let aliases = KEYS.iter().filter(|other| other.group == key.group && other.alias_of == Some(key.name));
    let names: Vec<_> = std::iter::once(key).chain(aliases).map(|key| format!("`{}`", key.name)).collect();
    let meaning = language.pick(key.en, key.zh);
    format!("| {} | {} | {} | {meaning} |\n", names.join(", "), holds(key.holds, language), default(key.default, language))
}

fn default(default: Fallback, language: Language) -> String {
    match default {
        Fallback::None => String::new(),
        Fallback::Required => language.pick("required", "必填").to_owned(),
        Fallback::Value(text) => format!("`{text}`"),
        Fallback::Words(en, zh) => language.pick(en, zh).to_owned(),
    }
}

fn holds(holds: Holds, language: Language) -> String {
    let (en, zh) = match holds {
        Holds::Whole(least, most) => {
            let range = format!("{least}-{most}");
            return format!("{} {range}", language.pick("whole number", "整数"));
        }
        Holds::OneOf(words) => {
            return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(language.pick(", ", "、"));
        }
        Holds::Text => ("text", "文本"),
        Holds::Secret => ("text, never shown", "文本，从不显示"),
        Holds::Url => ("DSN, never shown", "DSN，从不显示"),
        Holds::Path => ("path", "路径"),
        Holds::Identifier => ("letters, digits, `_`", "字母、数字、`_`"),
        Holds::Queue => ("queue name", "队列名"),
        Holds::Host => ("host or socket", "主机或套接字"),
        Holds::Hosts => ("list of hosts", "主机列表"),
        Holds::Seconds => ("seconds, fractions allowed; 0 is the default", "秒，可为小数；0 为默认"),
        Holds::Lease => ("whole seconds, or `never`", "整数秒，或 `never`"),
        Holds::Flag => ("`true`, `false`", "`true`、`false`"),
        Holds::Tls => ("`true`, `false` or an array", "`true`、`false` 或数组"),
        Holds::Arguments | Holds::Section => ("array", "数组"),
        Holds::WorkerOption => ("as the [worker option](worker.md#options)", "同名的 [worker 选项](worker.md#选项)"),
        Holds::Ignored => ("anything", "任意"),
    };
    language.pick(en, zh).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- keys: begin, rendered from crates/core/src/config/keys.rs -->\n";
    const END: &str = "<!-- keys: end -->\n";

    /// Compares a page with the table, or writes the table into it when `FERRY_UPDATE_DOCS=1`.
    fn compare(page: &str, language: Language) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the page has a begin marker");
        let (tables, after) = rest.split_once(END).expect("the page has an end marker");
        let rendered = format!("\n{}", markdown(language));
        if std::env::var("FERRY_UPDATE_DOCS").as_deref() == Ok("1") {
            std::fs::write(&path, [before, BEGIN, &rendered, END, after].concat()).unwrap();
            return;
        }
        assert!(tables == rendered, "docs/{page} differs from the key table; run the test again with FERRY_UPDATE_DOCS=1");
    }

    #[test]
    fn the_english_page_shows_the_key_table() {
        compare("configuration.md", Language::En);
    }

    #[test]
    fn the_chinese_page_shows_the_key_table() {
        compare("zh-CN/configuration.md", Language::Zh);
    }
}
