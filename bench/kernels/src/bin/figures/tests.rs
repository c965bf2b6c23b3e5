//! The page against the measurements, and every table out of made-up ones.

use super::*;

#[test]
fn the_page_shows_what_was_measured() {
    let page = std::fs::read_to_string(page_path()).expect("the page");
    let filled = fill(&page, &folder()).expect("measurements");
    assert!(
        filled == page,
        "run cargo run -p fqbert-kernel-bench --bin figures"
    );
    assert!(page.contains("<!-- figures: peers bert-base-128 -->"));
}

#[test]
fn an_unknown_table_is_refused() {
    let error = table("nothing", &folder()).unwrap_err().to_string();
    assert!(error.contains("nothing"), "{error}");
    assert_eq!(fill("plain", &folder()).expect("no tables"), "plain");
    assert!(
        fill("<!-- figures: counts -->\n", &folder()).is_err(),
        "no end"
    );
}

/// Measurements as the programs print them, with fields that no table shows.
fn measured(folder: &Path, packed_right: usize) {
    let write = |name: &str, value: serde_json::Value| {
        std::fs::write(folder.join(name), value.to_string()).expect("a file");
    };
    let result = |name: &str, ms: f64| {
        serde_json::json!({"name": name, "version": "1", "median_ms": ms, "min_ms": ms,
            "ours_by_median": 10.0 / ms, "ours_by_min": 1.0,
            "cpu_ms": null, "ours_by_cpu": null, "macs_per_second": 1e9, "share_of_limit": 0.5})
    };
    for shape in SHAPES {
        let results = [result("fqbert", 10.0), result("other", 40.0)];
        write(
            &format!("peers-{shape}.json"),
            serde_json::json!({"cpu": "CPU", "cpus": 2, "load_average": 0.5, "shape": shape,
                "sequence": 128, "threads": 2, "runs": 9, "macs": 1e9,
                "int8_limit": {"instruction": "vpdpbusd", "threads": 2, "macs_per_second": 4e11},
                "results": results}),
        );
    }
    let eval = |seconds: f64, correct: usize| {
        serde_json::json!({"n": 872, "correct": correct, "runs": 44, "cycles": 50_000_000,
            "seconds": seconds, "per_second": 872.0 / seconds})
    };
    for (set, slower) in [("sst2", 1.0), ("sst2-short", 2.0)] {
        write(
            &format!("{set}-packed.json"),
            [3.0, 1.0, 2.0].map(|s| eval(s, packed_right)).into(),
        );
        write(
            &format!("{set}-alone.json"),
            [6.0, 9.0, 1.0].map(|s| eval(s * slower, 785)).into(),
        );
    }
    let start = serde_json::json!({"load_ms": 1.0, "open_ms": 2.0, "pack_ms": 3.0,
        "compile_ms": 4.0, "first_ms": 5.0, "total_ms": 6.0, "cpu_ms": null, "second_ms": 7.0,
        "resident": 8, "peak": 9});
    write(
        "startup.json",
        serde_json::json!({"cpu": "CPU", "threads": 2, "sequence": 128, "file_bytes": 93_600_000,
            "median": start, "fastest_total_ms": 5.5,
            "resident_by_file": 2.1, "peak_by_file": 2.2}),
    );
    write(
        "run.json",
        serde_json::json!({"date": "today", "load": "0.1", "under": "nice", "commit": "abc"}),
    );
}

#[test]
fn tables_of_what_the_programs_print() {
    let folder = tempfile::tempdir().expect("a folder");
    measured(folder.path(), 785);
    let of = |name: &str| table(name, folder.path()).expect("a table");
    assert!(of("machine").contains("every command under `nice`"));
    assert!(of("summary").contains("| bert-base-128, sequence 128 | 10.0 | 50 % | 0.25 |"));
    assert!(
        of("peers minilm-l6-128").contains("| other: 1 | 40.0 | 40.0 | 0.25 | 1.00 | - | 50 % |")
    );
    assert!(of("packing").contains(
        "Packing gains 3.00 times, and 1.00 times in cycles of the first, \
         6.00 times, and 1.00 times in cycles of the second."
    ));
    assert!(of("startup").contains("| load to first answer, median | 6 |"));
    measured(folder.path(), 784);
    let error = table("packing", folder.path()).unwrap_err().to_string();
    assert!(error.contains("784 and 785"), "{error}");
}
