//! Where `unsafe` is.

use proc_macro2::{TokenStream, TokenTree};

use super::tree::Tree;

/// The files whose code, not whose comments or strings, has the word.
pub fn files(tree: &Tree) -> Vec<String> {
    tree.with_extension(&["rs"])
        // Most files need no parsing to tell.
        .filter(|(_, text)| text.contains("unsafe"))
        // What cannot be read is listed: better once too often.
        .filter(|(_, text)| text.parse().map_or(true, has_unsafe))
        .map(|(path, _)| path.to_owned())
        .collect()
}

fn has_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "unsafe",
        TokenTree::Group(group) => has_unsafe(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_comments() {
        let tree = Tree::of(&[
            ("a.rs", "fn f() { unsafe { g() } }"),
            ("b.rs", "// unsafe\n/// unsafe\nconst A: &str = \"unsafe\";"),
            ("c.rs", "#![allow(unsafe_code)]"),
            ("d.rs", "#[unsafe(no_mangle)]\nfn f() {}"),
            ("e.md", "unsafe"),
        ]);
        assert_eq!(files(&tree), ["a.rs", "d.rs"]);
    }
}
