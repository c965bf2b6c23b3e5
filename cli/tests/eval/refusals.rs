//! Input that cannot be used is refused by name, with its numbers.

use super::fixture::spec;
use super::*;

#[test]
fn float_logits_of_other_rows() {
    let f = fixture();
    let logits = |name: &str, rows: &[&str]| f.write(name, &format!("a\tb\n{}", rows.join("\n")));
    let with = |file: &str| eval("classes", "classes.tsv", &["--float-logits", file]);
    let mut rows = vec!["1\t2"; ROWS];
    refused(
        &with(&logits("short.tsv", &rows[1..])),
        &["23 rows", "24 rows"],
    );
    rows.push("1\t2");
    refused(&with(&logits("long.tsv", &rows)), &["25 rows", "24 rows"]);
    rows.pop();
    rows[7] = "NaN\t1";
    refused(
        &with(&logits("nan.tsv", &rows)),
        &["line 9", "NaN", "finite"],
    );
    rows[7] = "1\tinf";
    refused(
        &with(&logits("inf.tsv", &rows)),
        &["line 9", "inf", "finite"],
    );
    refused(&with("/no/such/file"), &["/no/such/file"]);
    let wide = f.write("wide.tsv", "a\n1\n");
    refused(&with(&wide), &["1 columns"]);
    let file = logits("good.tsv", &["1\t2"; ROWS]);
    refused(
        &eval("tags", "tags.tsv", &["--float-logits", &file]),
        &["--float FOLDER"],
    );
}

#[test]
fn float_checkpoints_of_another_model() {
    let f = fixture();
    let float = |name: &str, data: &str, folder: &str| eval(name, data, &["--float", folder]);
    refused(
        &float("classes", "classes.tsv", "/no/such/folder"),
        &["/no/such/folder"],
    );
    refused(
        &float("classes", "classes.tsv", s(&f.path("sets"))),
        &["3 classes", "2"],
    );
    fs::create_dir_all(f.path("small")).unwrap();
    let small = Spec {
        layers: 1,
        ..spec(TaskKind::SequenceClassification, 2)
    };
    small.write(&f.path("small")).unwrap();
    refused(
        &float("classes", "classes.tsv", s(&f.path("small"))),
        &["1 layers", "3"],
    );
}

#[test]
fn tasks_and_labels_that_do_not_go_with_the_model() {
    let f = fixture();
    refused(
        &eval("vectors", "pairs.csv", &["--task", "labels"]),
        &["embeddings", "--task sts"],
    );
    refused(
        &eval("classes", "pairs.csv", &["--task", "sts"]),
        &["classification", "--task labels"],
    );
    refused(
        &eval("classes", "classes.tsv", &["--limit", "0"]),
        &["--limit 0"],
    );
    refused(
        &eval("number", "number.tsv", &["--limit", "1"]),
        &["--limit 1"],
    );
    f.write("uneven.tsv", "sentence\tlabel\na b c\t0 1\n");
    refused(
        &eval("tags", "uneven.tsv", &[]),
        &["line 2", "2 labels", "3 words"],
    );
    f.write("word.tsv", "sentence\tlabel\na\tx\n");
    refused(
        &eval("number", "word.tsv", &[]),
        &["line 2", "\"x\"", "finite number"],
    );
    refused(
        &eval("sets", "word.tsv", &[]),
        &["line 2", "\"x\"", "below 3"],
    );
}

#[test]
fn options_that_need_others() {
    let folder = fixture().path("classes");
    let nowhere = ["--float", s(&folder), "--svg", "/no/such/folder/x.svg"];
    refused(
        &eval("classes", "classes.tsv", &nowhere),
        &["/no/such/folder/x.svg"],
    );
    for (alone, needs) in [
        (&["--slices"][..], "--float"),
        (&["--worst", "3"], "--float"),
        (&["--svg", "x.svg"], "--float"),
        (&["--float", "a", "--float-logits", "b"], "cannot be used"),
    ] {
        let out = eval("classes", "classes.tsv", alone);
        assert_eq!(out.status.code(), Some(2), "{alone:?}");
        assert!(stderr(&out).contains(needs), "{}", stderr(&out));
    }
}
