//! Input that cannot be used is refused by name, with its numbers.

use super::fixture::spec;
use super::*;

#[test]
fn input_that_cannot_be_used() {
    let f = fixture();
    let folder = |name| s(&f.path(name)).to_owned();
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

    let float = |name: &str, data: &str, folder: &str| eval(name, data, &["--float", folder]);
    refused(
        &float("classes", "classes.tsv", "/no/such/folder"),
        &["/no/such/folder"],
    );
    refused(
        &float("classes", "classes.tsv", &folder("sets")),
        &["3 classes", "2"],
    );
    fs::create_dir_all(f.path("small")).unwrap();
    let small = Spec {
        layers: 1,
        ..spec(TaskKind::SequenceClassification, 2)
    };
    small.write(&f.path("small")).unwrap();
    refused(
        &float("classes", "classes.tsv", &folder("small")),
        &["1 layers", "3"],
    );

    let file = logits("good.tsv", &["1\t2"; ROWS]);
    refused(
        &eval("tags", "tags.tsv", &["--float-logits", &file]),
        &["--float FOLDER"],
    );
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
    let nowhere = [
        "--float",
        &folder("classes"),
        "--svg",
        "/no/such/folder/x.svg",
    ];
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
