use fqbert_evaluation::data::{Table, read_sts};

use crate::files;

pub(crate) fn run(input: &[u8]) {
    let folder = files::folder();
    let path = folder.path().join("a.tsv");
    files::write(&path, input);
    if let Ok(table) = Table::read(&path) {
        let rows = table.len();
        assert_eq!(table.lines().len(), rows);
        if let Ok(column) = table.column("sentence") {
            assert_eq!(column.len(), rows);
        }
        let _ = table.numbers();
    }
    let _ = read_sts(&path);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "sentence\tlabel\na good film\t1\na bad one\t0\n",
        "\u{feff}sentence\tlabel\r\n\"quoted\"\t1\r\n",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
         0\tmain\tx\t2012\t1\tnone\tnone\tA man.\tA person.\t4.200\n",
        "0.5\t-1e3\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
