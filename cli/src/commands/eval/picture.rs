//! The error of each layer as a picture: a line for the whole run, one for each layer alone.
//! Written by hand, since one chart needs no library; text is escaped, and nothing in it depends on
//! time or machine.

use std::fmt::{self, Write};
use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::report::{LayerError, Layers, Report};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 100.0;
const BOTTOM: f64 = 56.0;
/// Blue and orange that colour-blind readers tell apart (Okabe and Ito), and their marks differ
/// too.
const RUN: &str = "#0072b2";
const ALONE: &str = "#d55e00";

/// Writes the picture, under a temporary name first.
pub fn write(path: &Path, layers: &Layers, report: &Report) -> anyhow::Result<()> {
    let name = |p: &str| {
        Path::new(p)
            .file_name()
            .map_or_else(|| p.to_owned(), |n| n.to_string_lossy().into_owned())
    };
    // A long name would leave the picture.
    let data: String = name(&report.data).chars().take(60).collect();
    let of = format!(
        "{data}, {} sequences, {} tokens",
        layers.sequences, layers.tokens
    );
    let output = report.sqnr_db.filter(|_| report.task != "similarity");
    let svg = draw(&of, layers, output)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(svg.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// A value on the chart.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
    value: f64,
}

/// The vertical axis.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// Whole steps around all values, at most ten of them.
    fn around(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low.is_finite() && high.is_finite() {
            (low.min(0.0), high.max(1.0))
        } else {
            (0.0, 1.0)
        };
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
        let step = steps
            .into_iter()
            .find(|s| (high - low) / s <= 8.0)
            .unwrap_or(((high - low) / 8.0).ceil());
        Self {
            low: (low / step).floor() * step,
            high: ((high + step / 4.0) / step).ceil() * step,
            step,
        }
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

fn draw(of: &str, layers: &Layers, output: Option<f64>) -> Result<String, fmt::Error> {
    // The embeddings come first. Their 16 bits are so much better than any layer that the layers
    // would lie in one line beside them.
    let layers = layers.layers.get(1..).unwrap_or_default();
    let all = layers.iter().flat_map(|l| [l.sqnr_db, l.alone_db]);
    let values: Vec<f64> = all.flatten().chain(output).collect();
    let axis = Axis::around(&values);
    let columns = layers.len() + usize::from(output.is_some());
    let x = |i: usize| LEFT + (WIDTH - LEFT - RIGHT) * (i as f64 + 0.5) / columns.max(1) as f64;
    let point = |i: usize, v: Option<f64>| {
        v.map(|value| Point {
            x: x(i),
            y: axis.y(value),
            value,
        })
    };
    let points = |of: fn(&LayerError) -> Option<f64>| -> Vec<Option<Point>> {
        let each = layers.iter().enumerate();
        each.map(|(i, l)| point(i, of(l))).collect()
    };
    let (mut run, alone) = (points(|l| l.sqnr_db), points(|l| l.alone_db));
    if let Some(db) = output {
        run.push(point(layers.len(), Some(db)));
    }

    let mut s = String::new();
    writeln!(
        s,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12" fill="#222">"##
    )?;
    writeln!(
        s,
        r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##
    )?;
    writeln!(
        s,
        r##"<text x="{LEFT}" y="26" font-size="15" font-weight="bold">Quantization error after each layer</text><text x="{LEFT}" y="46">{}</text>"##,
        escaped(of)
    )?;
    grid(&mut s, &axis)?;
    names(&mut s, layers, output.is_some(), x)?;
    legend(&mut s)?;
    line(&mut s, &alone, ALONE, true)?;
    line(&mut s, &run, RUN, false)?;
    writeln!(s, "</svg>")?;
    Ok(s)
}

fn grid(s: &mut String, axis: &Axis) -> fmt::Result {
    let steps = ((axis.high - axis.low) / axis.step).round() as usize;
    for i in 0..=steps {
        let value = axis.low + i as f64 * axis.step;
        let y = axis.y(value);
        let stroke = if i == 0 { "#666" } else { "#ddd" };
        writeln!(
            s,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="{stroke}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{value}</text>"##,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        )?;
    }
    let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
    writeln!(
        s,
        r##"<text x="18" y="{middle:.1}" text-anchor="middle" transform="rotate(-90 18 {middle:.1})">SQNR in dB</text>"##
    )
}

fn names(
    s: &mut String,
    layers: &[LayerError],
    output: bool,
    x: impl Fn(usize) -> f64,
) -> fmt::Result {
    // Many layers leave room for every second, third, ... number only.
    let every = layers.len().div_ceil(14).max(1);
    let y = HEIGHT - BOTTOM + 20.0;
    for (i, layer) in layers.iter().enumerate().step_by(every) {
        let name = escaped(layer.name.strip_prefix("layer ").unwrap_or(&layer.name));
        writeln!(
            s,
            r##"<text x="{:.1}" y="{y}" text-anchor="middle">{name}</text>"##,
            x(i)
        )?;
    }
    if output {
        let at = x(layers.len());
        writeln!(
            s,
            r##"<text x="{at:.1}" y="{y}" text-anchor="middle">output</text>"##
        )?;
    }
    writeln!(
        s,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="middle">encoder layer</text>"##,
        (LEFT + WIDTH - RIGHT) / 2.0,
        y + 22.0
    )
}

fn legend(s: &mut String) -> fmt::Result {
    let (y, second) = (72.0, LEFT + 260.0);
    for (x, colour, square, text) in [
        (LEFT, RUN, false, "quantized run against float run"),
        (
            second,
            ALONE,
            true,
            "layer alone, given the float run's input",
        ),
    ] {
        writeln!(
            s,
            r##"<line x1="{x}" y1="{y}" x2="{}" y2="{y}" stroke="{colour}" stroke-width="2"{}/>"##,
            x + 28.0,
            dashes(square)
        )?;
        mark(s, x + 14.0, y, colour, square)?;
        writeln!(
            s,
            r##"<text x="{}" y="{}">{}</text>"##,
            x + 36.0,
            y + 4.0,
            escaped(text)
        )?;
    }
    Ok(())
}

fn dashes(square: bool) -> &'static str {
    if square {
        r#" stroke-dasharray="5 4""#
    } else {
        ""
    }
}

fn mark(s: &mut String, x: f64, y: f64, colour: &str, square: bool) -> fmt::Result {
    if square {
        let (x, y) = (x - 3.5, y - 3.5);
        writeln!(
            s,
            r##"<rect x="{x:.1}" y="{y:.1}" width="7" height="7" fill="{colour}"/>"##
        )
    } else {
        writeln!(
            s,
            r##"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{colour}"/>"##
        )
    }
}

/// A line through the points, broken where one is undefined, with the value at each mark: the run's
/// below its line, the layers' above, where they are apart.
fn line(s: &mut String, points: &[Option<Point>], colour: &str, square: bool) -> fmt::Result {
    for part in points.split(Option::is_none) {
        let mut path = String::new();
        for p in part.iter().flatten() {
            write!(path, "{:.1},{:.1} ", p.x, p.y)?;
        }
        if part.len() > 1 {
            writeln!(
                s,
                r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"{}/>"##,
                path.trim_end(),
                dashes(square)
            )?;
        }
    }
    let crowded = points.len() > 14;
    for p in points.iter().flatten() {
        mark(s, p.x, p.y, colour, square)?;
        if !crowded {
            let y = if square { p.y - 9.0 } else { p.y + 18.0 };
            writeln!(
                s,
                r##"<text x="{:.1}" y="{y:.1}" text-anchor="middle" font-size="11" fill="{colour}">{:.1}</text>"##,
                p.x, p.value
            )?;
        }
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Other control characters are not allowed in XML at all.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(values: &[Option<f64>]) -> Layers {
        Layers {
            sequences: 3,
            tokens: 40,
            layers: values
                .iter()
                .enumerate()
                .map(|(i, v)| LayerError {
                    name: if i == 0 {
                        "embeddings".into()
                    } else {
                        format!("layer {}", i - 1)
                    },
                    sqnr_db: *v,
                    alone_db: v.map(|v| v + 5.0),
                })
                .collect(),
        }
    }

    fn all_inside(svg: &str) {
        for part in svg.split("<circle cx=\"").skip(1) {
            let numbers: Vec<f64> = part
                .split('"')
                .step_by(2)
                .take(2)
                .map(|n| n.parse().unwrap())
                .collect();
            assert!((LEFT..WIDTH - RIGHT).contains(&numbers[0]), "{numbers:?}");
            assert!(
                (40.0..=HEIGHT - BOTTOM).contains(&numbers[1]),
                "{numbers:?}"
            );
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }

    #[test]
    fn marks_lie_inside() {
        for n in [1, 2, 7, 13, 25, 97] {
            let values: Vec<Option<f64>> = (0..n).map(|i| Some(80.0 - i as f64)).collect();
            let svg = draw("t", &layers(&values), Some(-3.0)).unwrap();
            assert_eq!(
                svg.matches("<circle").count(),
                n + 1,
                "{n} points without embeddings, output and legend"
            );
            all_inside(&svg);
        }
    }

    #[test]
    fn undefined_values_break_the_line() {
        let values = [9.0, 8.0, 8.5, f64::NAN, 7.0, 6.0].map(|v| (!v.is_nan()).then_some(v));
        let svg = draw("t", &layers(&values), None).unwrap();
        assert_eq!(
            svg.matches("<polyline").count(),
            4,
            "two parts of each line"
        );
        all_inside(&svg);
        all_inside(&draw("t", &layers(&[None, None]), None).unwrap());
        all_inside(&draw("t", &layers(&[]), None).unwrap());
    }

    #[test]
    fn text_is_escaped() {
        let svg = draw("a<b>&\"c\"\u{1}", &layers(&[Some(1.0)]), None).unwrap();
        assert!(svg.contains("a&lt;b&gt;&amp;&quot;c&quot; </text>"));
    }
}
