//! Calibration files, good and bad.

use std::fs;
use std::path::PathBuf;

use fqbert_checkpoint::load_tokenizer;
use fqbert_checkpoint::testing::Spec;
use fqbert_host::Tokenizer;
use fqbert_quantizer::{Calibration, Columns, QuantizeError, Sample};

struct Folder {
    folder: tempfile::TempDir,
    tokenizer: Tokenizer,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Spec::default().write(folder.path()).unwrap();
        let tokenizer = load_tokenizer(folder.path()).unwrap();
        Folder { folder, tokenizer }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("data");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn tsv(&self, bytes: &[u8], texts: &[usize]) -> Result<Calibration, QuantizeError> {
        let columns = Columns {
            texts: texts.to_vec(),
            header: true,
        };
        Calibration::from_tsv(
            &self.file(bytes),
            &columns,
            &self.tokenizer,
            &Sample::default(),
        )
    }
}

#[test]
fn columns_and_lines_are_texts() {
    let f = Folder::new();
    let c = f.tsv(b"a\tb\r\nx y\t1\nz\t2\n", &[1, 2]).unwrap();
    assert_eq!(c.sequences().len(), 4);
    let path = f.file(b"one\n\n  \ntwo");
    let c = Calibration::from_text_file(&path, &f.tokenizer, &Sample::default()).unwrap();
    assert_eq!(c.sequences().len(), 2);
    assert!(
        c.description().contains("2 of 2 texts of data"),
        "{}",
        c.description()
    );
}

#[test]
fn what_has_no_tokens_is_passed_over_whatever_the_draw() {
    let f = Folder::new();
    let mut text = "\u{feff}\u{200b}\n".to_owned();
    text.extend((0..30).map(|i| Spec::default().text(5, i) + "\n"));
    let path = f.file(text.as_bytes());
    let mut passed_over = Vec::new();
    for seed in 0..8 {
        let sample = Sample {
            limit: 16,
            seed,
            ..Sample::default()
        };
        let c = Calibration::from_text_file(&path, &f.tokenizer, &sample).unwrap();
        assert_eq!(c.sequences().len() + c.passed_over(), 16);
        passed_over.push(c.passed_over());
    }
    assert!(passed_over.contains(&0) && passed_over.contains(&1));
    let c = f.tsv("a\tb\nx\t\nx\t\u{200b}\nx\ta b\n".as_bytes(), &[2]);
    let c = c.unwrap();
    assert_eq!((c.sequences().len(), c.passed_over()), (1, 2));
}

#[test]
fn bad_rows_are_named_by_line() {
    let f = Folder::new();
    let cases: [(&[u8], &str); 4] = [
        (
            b"h\th\nx\t1\nonly one\n",
            "line 3: 1 columns, but the text is in column 2",
        ),
        (b"h\th\nx\t \n", "no calibration data in"),
        (b"h\th\n\xff\xfe\t1\n", "line 2: not UTF-8 at byte 0"),
        (b"h\th\n", "no calibration data in"),
    ];
    for (bytes, wanted) in cases {
        let e = f.tsv(bytes, &[2]).unwrap_err().to_string();
        assert!(e.contains(wanted), "{e}");
    }
    assert!(matches!(
        f.tsv(b"h\nx\n", &[0]),
        Err(QuantizeError::Option { .. })
    ));
    let mut long = b"h\n".to_vec();
    long.resize(5 << 20, b'x');
    assert!(
        f.tsv(&long, &[1])
            .unwrap_err()
            .to_string()
            .contains("line 2: it is longer than")
    );
    let none = f.folder.path().join("none");
    let e = Calibration::from_text_file(&none, &f.tokenizer, &Sample::default()).unwrap_err();
    assert!(matches!(e, QuantizeError::Input(_)), "{e}");
}

#[test]
fn the_choice_is_the_seeds_and_in_the_files_order() {
    let f = Folder::new();
    let lines: String = (0..300).map(|i| "a ".repeat(1 + i % 60) + "\n").collect();
    let path = f.file(lines.as_bytes());
    let of = |seed| {
        let sample = Sample {
            limit: 20,
            max_len: 16,
            seed,
        };
        Calibration::from_text_file(&path, &f.tokenizer, &sample).unwrap()
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert_eq!(of(1).sequences().len(), 20);
    assert!(of(1).sequences().iter().all(|s| s.ids.len() <= 16));
}

#[test]
fn texts_are_held_out_evenly_and_none_twice() {
    let f = Folder::new();
    let of = |n: usize, distinct: usize| {
        let texts: Vec<String> = (0..n)
            .map(|i| format!("a{}", "b".repeat(i % distinct)))
            .collect();
        Calibration::from_texts(&texts, &f.tokenizer, 64).unwrap()
    };
    let (kept, held) = of(40, 40).hold_out(4).unwrap();
    assert_eq!((kept.sequences().len(), held.len()), (36, 4));
    assert!(held.iter().all(|h| !kept.sequences().contains(h)));
    assert!(
        kept.description().starts_with("36 sequences"),
        "{}",
        kept.description()
    );
    // Never more than a fifth.
    assert_eq!(of(40, 40).hold_out(1000).unwrap().1.len(), 8);
    for (texts, distinct, count) in [(4, 4, 1), (40, 1, 4), (40, 40, 0)] {
        let e = of(texts, distinct).hold_out(count).unwrap_err().to_string();
        assert!(e.contains("give more texts"), "{e}");
    }
}

#[test]
fn a_column_is_found_by_its_name() {
    let f = Folder::new();
    let named = |bytes: &[u8], name: &str| {
        Calibration::from_named_column(&f.file(bytes), name, &f.tokenizer, &Sample::default())
    };
    let both = named(b"\xef\xbb\xbfa\tb\nx y\t1\nz\t2\n", "a").unwrap();
    assert_eq!(
        both.sequences(),
        f.tsv(b"a\tb\nx y\t1\nz\t2\n", &[1]).unwrap().sequences()
    );
    let said = named(b"a\tb\nx\ty\n", "c").unwrap_err().to_string();
    assert!(
        said.contains("line 1: no column \"c\"; the header line has a, b"),
        "{said}"
    );
}
