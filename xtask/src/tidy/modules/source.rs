//! What one module's tokens say: the names it defines, the modules below it, and the paths in it.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A `use` at the module's own level.
#[derive(Debug, PartialEq, Eq)]
pub enum Import {
    /// `use path`, or `use path as name`.
    Name {
        /// The name here.
        name: String,
        /// Where it is from.
        path: Vec<String>,
    },
    /// `use path::*`.
    All {
        /// Where they are from.
        path: Vec<String>,
    },
}

/// One module without those below it.
#[derive(Default)]
pub struct Source {
    /// Items at the module's own level.
    pub defined: BTreeSet<String>,
    /// Imports at the module's own level.
    pub imports: Vec<Import>,
    /// Every imported path, and every other that begins with `crate`, `super` or `self`.
    pub paths: Vec<Vec<String>>,
    /// `mod name;`
    pub declared: Vec<String>,
    /// `mod name { ... }`
    pub inline: Vec<(String, Source)>,
}

impl Source {
    /// Reads a file. One that is no Rust has nothing in it: the compiler says so.
    pub fn read(text: &str) -> Self {
        let mut source = Self::default();
        source.items(&tokens(text.parse().unwrap_or_default()), true);
        source
    }

    /// Walks through the items or statements of a block; `own`: of the module itself.
    fn items(&mut self, tokens: &[TokenTree], own: bool) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            at += match (token, rest.get(1), rest.get(2)) {
                (TokenTree::Punct(hash), Some(TokenTree::Group(attribute)), _)
                    if hash.as_char() == '#' && is_test(&attribute.stream()) =>
                {
                    2 + item(&rest[2..])
                }
                (TokenTree::Ident(word), Some(TokenTree::Ident(name)), next)
                    if own && word == "mod" =>
                {
                    self.module(name.to_string(), next);
                    3
                }
                (TokenTree::Ident(word), Some(next), _) if word == "use" && !is(next, '<') => {
                    let end = rest.iter().position(|t| is(t, ';')).unwrap_or(rest.len());
                    self.import(&rest[1..end], own);
                    end
                }
                (TokenTree::Ident(word), Some(TokenTree::Ident(name)), _)
                    // Of `const fn f`, the `fn` tells.
                    if own && ITEMS.iter().any(|item| word == item) && name != "fn" =>
                {
                    self.defined.insert(name.to_string());
                    2
                }
                (TokenTree::Ident(word), _, _) if ROOTS.iter().any(|root| word == root) => {
                    let path = path(rest);
                    let length = 3 * path.len() - 2;
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                    length
                }
                (TokenTree::Group(group), _, _) => {
                    self.items(&self::tokens(group.stream()), false);
                    1
                }
                _ => 1,
            };
        }
    }

    fn module(&mut self, name: String, body: Option<&TokenTree>) {
        match body {
            Some(TokenTree::Group(group)) => {
                let mut inside = Self::default();
                inside.items(&tokens(group.stream()), true);
                self.inline.push((name, inside));
            }
            _ => self.declared.push(name),
        }
    }

    fn import(&mut self, tree: &[TokenTree], own: bool) {
        let mut imports = Vec::new();
        use_tree(tree, &[], &mut imports);
        for import in imports {
            let (Import::Name { path, .. } | Import::All { path }) = &import;
            self.paths.push(path.clone());
            if own {
                self.imports.push(import);
            }
        }
    }
}

/// Keywords before an item's name.
const ITEMS: [&str; 8] = [
    "fn", "struct", "enum", "trait", "const", "static", "type", "union",
];

/// What a path within the crate begins with.
const ROOTS: [&str; 3] = ["crate", "super", "self"];

fn tokens(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

fn is(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == punct)
}

/// Whether an attribute is `cfg(test)`, alone or among others.
pub fn is_test(attribute: &TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// How many tokens an item has: up to a `;` or a block.
pub fn item(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is(token, ';'),
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// The path at the head of the tokens: names with `::` between.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(name), after @ ..] = rest {
        names.push(name.to_string());
        match after {
            [a, b, TokenTree::Ident(_), ..] if is(a, ':') && is(b, ':') => rest = &after[2..],
            _ => break,
        }
    }
    names
}

/// The imports of a `use` tree behind a prefix.
fn use_tree(tree: &[TokenTree], prefix: &[String], imports: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    let mut alias = None;
    let mut rest = tree.iter().peekable();
    while let Some(token) = rest.next() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                alias = rest.next().map(ToString::to_string);
            }
            TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Group(group) => {
                let inside = tokens(group.stream());
                for branch in inside.split(|token| is(token, ',')) {
                    use_tree(branch, &path, imports);
                }
                return;
            }
            token if is(token, '*') => return imports.push(Import::All { path }),
            _ => {}
        }
    }
    if tree.is_empty() {
        return;
    }
    if let Some(name) = alias.or_else(|| path.last().cloned()) {
        imports.push(Import::Name { name, path });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let paths = Source::read(text).paths;
        paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn every_form_of_a_path_is_read() {
        let text = "use crate::{a::{self, B as C}, d::*};\n\
            fn f(&self) -> impl A + use<'_> { super::e::g::<crate::H>(self); self::i() }";
        assert_eq!(
            paths(text),
            [
                "crate::a",
                "crate::a::B",
                "crate::d",
                "super::e::g",
                "crate::H",
                "self::i"
            ]
        );
    }

    #[test]
    fn tests_comments_and_strings_are_left_out() {
        let text = "#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::a; }\n// crate::b\n\
            const A: &str = \"crate::c\"; #[cfg(test)] mod more; use crate::d;";
        let source = Source::read(text);
        assert_eq!(paths(text), ["crate::d"]);
        assert!(source.declared.is_empty());
        assert_eq!(source.defined, ["A".to_owned()].into());
    }

    #[test]
    fn items_and_modules_are_told_from_what_is_in_them() {
        let source =
            Source::read("mod a; pub mod b { struct C; } impl D { fn e() {} } const fn f() {}");
        assert_eq!(source.declared, ["a"]);
        assert_eq!(source.inline[0].0, "b");
        assert_eq!(source.inline[0].1.defined, ["C".to_owned()].into());
        assert_eq!(source.defined, ["f".to_owned()].into());
    }
}
