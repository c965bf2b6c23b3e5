//! The error of each layer as a picture: a line for the whole run, one for each layer alone.
//! Nothing in it depends on time or machine.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::{Evaluation, LayerError, Layers};

const SIZE: (u32, u32) = (720, 400);
/// Height of title and legend above the chart.
const HEAD: u32 = 84;
/// Where title and legend begin, over the chart's vertical axis.
const LEFT: i32 = 64;
const FONT: &str = "sans-serif";
/// The backend divides sizes by this to get pixels.
const POINTS: f64 = 1.24;
/// Blue and orange that colour-blind readers tell apart (Okabe and Ito); the marks and lines differ
/// too.
const RUN: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const ALONE: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
const TEXT: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// With more columns than this values and some of the names are left out.
const CROWDED: usize = 14;

/// The backend refused to draw, which it does not do in memory.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be drawn: {0}")]
pub struct PictureError(String);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The errors of an evaluation's layers as SVG; `None` if they were not measured.
///
/// # Errors
/// The drawing library failed.
pub fn layer_errors(evaluation: &Evaluation) -> Option<Result<String, PictureError>> {
    let layers = evaluation.layers.as_ref()?;
    let path = &evaluation.run.data;
    let data = Path::new(path)
        .file_name()
        .map_or_else(|| path.clone(), |n| n.to_string_lossy().into_owned());
    // A long name would leave the picture.
    let data: String = data.chars().take(60).collect();
    let of = format!(
        "{data}, {} sequences, {} tokens",
        layers.sequences, layers.tokens
    );
    // The similarity of two outputs is none of the outputs that the axis is about.
    let output = evaluation
        .sqnr_db
        .filter(|_| evaluation.task != "similarity");
    Some(svg(&of, layers, output))
}

fn svg(of: &str, layers: &Layers, output: Option<f64>) -> Result<String, PictureError> {
    let mut svg = String::new();
    draw(&mut svg, of, layers, output).map_err(|e| PictureError(e.to_string()))?;
    Ok(svg)
}

/// An axis with marks where we want them.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// Whole steps around all values, some ten of them, with room for the values' own text.
    fn around(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(0.0, f64::min);
        let high = values.iter().copied().fold(1.0, f64::max);
        let room = 0.1 * (high - low);
        let least = values.iter().copied().fold(high, f64::min);
        let low = if least < low + room { low - room } else { low };
        let high = high + room;
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
        let step = steps
            .into_iter()
            .find(|s| (high - low) / s <= 8.0)
            .unwrap_or(((high - low) / 8.0).ceil());
        let (first, last) = ((low / step).floor() as i32, (high / step).ceil() as i32);
        Self {
            low: f64::from(first) * step,
            high: f64::from(last) * step,
            ticks: (first..=last).map(|i| f64::from(i) * step).collect(),
        }
    }

    /// A place for each of the `columns`, of which some are named.
    fn columns(columns: usize, named: impl Iterator<Item = usize>) -> Self {
        Self {
            low: -0.5,
            high: columns.max(1) as f64 - 0.5,
            ticks: named.map(|i| i as f64).collect(),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _: H) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

/// How a line looks.
#[derive(Clone, Copy)]
struct Look {
    colour: RGBColor,
    /// Dashes between square marks with their values above, or a whole line between round ones with
    /// their values below.
    dashed: bool,
}

const LOOKS: [(Look, &str); 2] = [
    (
        Look {
            colour: RUN,
            dashed: false,
        },
        "quantized run against float run",
    ),
    (
        Look {
            colour: ALONE,
            dashed: true,
        },
        "layer alone, given the float run's input",
    ),
];

fn draw(svg: &mut String, of: &str, layers: &Layers, output: Option<f64>) -> Drawn {
    // The embeddings come first. Their 16 bits are so much better than any layer that the layers
    // would lie in one line beside them.
    let layers = layers.layers.get(1..).unwrap_or_default();
    let mut run: Vec<Option<f64>> = layers.iter().map(|l| l.sqnr_db).collect();
    run.extend(output.map(Some));
    let alone: Vec<Option<f64>> = layers.iter().map(|l| l.alone_db).collect();
    let values: Vec<f64> = run.iter().chain(&alone).copied().flatten().collect();

    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    title(&head, of)?;
    let mut chart = axes(&body, Axis::around(&values), layers, run.len())?;
    let [(run_look, _), (alone_look, _)] = LOOKS;
    line(&mut chart, &alone, alone_look)?;
    line(&mut chart, &run, run_look)?;
    root.present()
}

fn text(size: f64, colour: RGBColor) -> TextStyle<'static> {
    (FONT, size * POINTS).into_font().color(&colour)
}

/// Title and legend.
fn title(head: &Area<'_>, of: &str) -> Drawn {
    let bold = (FONT, 15.0 * POINTS, FontStyle::Bold).into_font();
    head.draw(&Text::new(
        "Quantization error after each layer",
        (LEFT, 12),
        bold.color(&TEXT),
    ))?;
    head.draw(&Text::new(printable(of), (LEFT, 34), text(12.0, TEXT)))?;
    let middle = Pos::new(HPos::Left, VPos::Center);
    for ((look, name), x) in LOOKS.into_iter().zip([LEFT, LEFT + 270]) {
        let y = 68;
        let line = [(x, y), (x + 30, y)];
        let style = look.colour.stroke_width(2);
        if look.dashed {
            head.draw(&DashedPathElement::new(line, 5, 4, style))?;
            head.draw(&square((x + 15, y), look))?;
        } else {
            head.draw(&PathElement::new(line, style))?;
            head.draw(&circle((x + 15, y), look))?;
        }
        let style = text(12.0, TEXT).pos(middle);
        head.draw(&Text::new(name, (x + 38, y), style))?;
    }
    Ok(())
}

/// An empty chart of `columns` columns: the layers, and the model's output where that is one more.
fn axes<'a, 'b>(
    body: &'a Area<'b>,
    axis: Axis,
    layers: &[LayerError],
    columns: usize,
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    // Many layers leave room for every second, third, ... number only.
    let every = columns.div_ceil(CROWDED).max(1);
    let output = columns.checked_sub(1).filter(|last| *last == layers.len());
    let room = |i: &usize| i.is_multiple_of(every) && output.is_none_or(|o| i + every <= o);
    let named = (0..layers.len()).filter(room).chain(output);
    let mut chart = ChartBuilder::on(body)
        .margin_right(24)
        .margin_bottom(10)
        .margin_left(10)
        .x_label_area_size(46)
        .y_label_area_size(LEFT as u32 - 10)
        .build_cartesian_2d(Axis::columns(columns, named), axis)?;
    let name = |x: &f64| {
        let layer = layers.get(x.round() as usize);
        layer.map_or_else(
            || "output".to_owned(),
            |l| printable(l.name.strip_prefix("layer ").unwrap_or(&l.name)),
        )
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(RGBColor(0x66, 0x66, 0x66))
        .label_style(text(12.0, TEXT))
        .axis_desc_style(text(12.0, TEXT))
        .x_desc("encoder layer")
        .y_desc("SQNR in dB")
        .x_label_formatter(&name)
        .y_label_formatter(&|v| format!("{v}"))
        .draw()?;
    Ok(chart)
}

/// A line through the points, broken where one is undefined, with the value at each mark where the
/// columns leave room for it.
fn line(chart: &mut Chart<'_, '_>, values: &[Option<f64>], look: Look) -> Drawn {
    let points: Vec<Option<(f64, f64)>> = values
        .iter()
        .enumerate()
        .map(|(i, v)| v.map(|v| (i as f64, v)))
        .collect();
    let style = look.colour.stroke_width(2);
    for part in points.split(Option::is_none) {
        let part: Vec<(f64, f64)> = part.iter().copied().flatten().collect();
        if look.dashed {
            chart.draw_series(DashedLineSeries::new(part, 5, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(part, style))?;
        }
    }
    let crowded = points.len() > CROWDED;
    for (i, (x, y)) in points
        .iter()
        .enumerate()
        .filter_map(|(i, p)| Some((i, (*p)?)))
    {
        let at = || EmptyElement::at((x, y));
        if look.dashed {
            chart.draw_series([at() + square((0, 0), look)])?;
        } else {
            chart.draw_series([at() + circle((0, 0), look)])?;
        }
        if !crowded {
            let text = value(y, beside(values, i, look), look);
            chart.draw_series([at() + text])?;
        }
    }
    Ok(())
}

/// How far beside its mark a value stands: away from the line, where that leaves the mark on one
/// side towards the text.
fn beside(values: &[Option<f64>], at: usize, look: Look) -> i32 {
    let value = |i: Option<usize>| values.get(i?).copied().flatten();
    let crosses = |neighbour| match (value(neighbour), value(Some(at))) {
        (Some(there), Some(here)) if look.dashed => there > here,
        (Some(there), Some(here)) => there < here,
        _ => false,
    };
    match (crosses(at.checked_sub(1)), crosses(Some(at + 1))) {
        (true, false) => 14,
        (false, true) => -14,
        _ => 0,
    }
}

/// The text of a value, `dx` beside its mark.
fn value(db: f64, dx: i32, look: Look) -> Text<'static, (i32, i32), String> {
    let (dy, v_pos) = if look.dashed {
        (-8, VPos::Bottom)
    } else {
        (8, VPos::Top)
    };
    let style = text(11.0, look.colour).pos(Pos::new(HPos::Center, v_pos));
    Text::new(format!("{db:.1}"), (dx, dy), style)
}

fn circle(at: (i32, i32), look: Look) -> Circle<(i32, i32), i32> {
    Circle::new(at, 4, look.colour.filled())
}

fn square((x, y): (i32, i32), look: Look) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x - 3, y - 3), (x + 4, y + 4)], look.colour.filled())
}

/// The backend escapes text, but characters that XML does not allow at all remain.
fn printable(text: &str) -> String {
    let allowed = |c: char| !c.is_control() && c != '\u{fffe}' && c != '\u{ffff}';
    text.chars()
        .map(|c| if allowed(c) { c } else { ' ' })
        .collect()
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

    /// The values of an attribute of all elements of a kind.
    fn attribute(svg: &str, element: &str, name: &str) -> Vec<f64> {
        svg.split(&format!("<{element} "))
            .skip(1)
            .map(|part| {
                let value = part.split(&format!(" {name}=\"")).nth(1);
                let value = value.or_else(|| part.strip_prefix(&format!("{name}=\"")));
                value.unwrap().split('"').next().unwrap().parse().unwrap()
            })
            .collect()
    }

    fn texts(svg: &str) -> Vec<&str> {
        svg.split("<text ")
            .skip(1)
            .map(|part| {
                let (_, text) = part.split_once('>').unwrap();
                text.split_once("</text>").unwrap().0.trim()
            })
            .collect()
    }

    fn all_inside(svg: &str) {
        let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
        for x in attribute(svg, "circle", "cx") {
            assert!((f64::from(LEFT)..width - 24.0).contains(&x), "{x}");
        }
        for y in attribute(svg, "circle", "cy").into_iter().skip(1) {
            assert!((f64::from(HEAD)..=height - 56.0).contains(&y), "{y}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn marks_lie_inside() {
        for n in [1, 2, 7, 13, 25, 97] {
            let values: Vec<Option<f64>> = (0..n).map(|i| Some(80.0 - i as f64)).collect();
            let of = layers(&values);
            let picture = svg("t", &of, Some(-3.0)).unwrap();
            assert_eq!(
                picture.matches("<circle").count(),
                n + 1,
                "{n} points without embeddings, output and legend"
            );
            all_inside(&picture);
            assert_eq!(picture, svg("t", &of, Some(-3.0)).unwrap());
        }
    }

    #[test]
    fn everything_is_named() {
        let values = [90.0, 31.25, 27.0].map(Some);
        let picture = svg("dev.tsv", &layers(&values), Some(17.5)).unwrap();
        let texts = texts(&picture);
        for expected in [
            "Quantization error after each layer",
            "dev.tsv",
            "quantized run against float run",
            "layer alone, given the float run&apos;s input",
            "encoder layer",
            "SQNR in dB",
            "0",
            "1",
            "output",
            "31.2",
            "36.2",
            "17.5",
        ] {
            assert!(texts.contains(&expected), "\"{expected}\" not in {texts:?}");
        }
        assert!(!picture.contains("90.0"), "the embeddings are left out");
    }

    #[test]
    fn undefined_values_break_the_line() {
        let values = [9.0, 8.0, 8.5, f64::NAN, 7.0, 6.0].map(|v| (!v.is_nan()).then_some(v));
        let picture = svg("t", &layers(&values), None).unwrap();
        // The legend's line is one more.
        let whole = picture
            .lines()
            .filter(|l| l.starts_with("<polyline") && l.contains("#0072B2"));
        assert_eq!(whole.count(), 3, "two parts");
        all_inside(&picture);
        all_inside(&svg("t", &layers(&[None, None]), None).unwrap());
        all_inside(&svg("t", &layers(&[]), None).unwrap());
    }

    #[test]
    fn values_stand_away_from_steep_lines() {
        let values = [3.0, 2.0, 1.0, 2.0, f64::NAN, 5.0].map(|v| (!v.is_nan()).then_some(v));
        let [(run, _), (alone, _)] = LOOKS;
        let all = |look| [0, 1, 2, 3, 5].map(|i| beside(&values, i, look));
        assert_eq!(all(run), [-14, -14, 0, 14, 0]);
        assert_eq!(all(alone), [0, 14, 0, 0, 0]);
    }

    #[test]
    fn text_is_escaped() {
        let picture = svg("a<b>&\"c\"\u{1}", &layers(&[Some(1.0)]), None).unwrap();
        assert!(texts(&picture).contains(&"a&lt;b&gt;&amp;&quot;c&quot;"));
    }

    #[test]
    fn axes_have_room() {
        for (values, low, high, count) in [
            (&[][..], 0.0, 2.0, 3),
            (&[12.0, 38.0], 0.0, 50.0, 6),
            (&[0.5, 38.0], -10.0, 50.0, 7),
            (&[-20.0, 3.0], -25.0, 10.0, 8),
            (&[300.0], 0.0, 350.0, 8),
        ] {
            let axis = Axis::around(values);
            assert!(values.iter().all(|v| axis.low < *v && *v < axis.high));
            assert_eq!((axis.low, axis.high), (low, high), "{values:?}");
            assert_eq!(axis.ticks.len(), count, "{values:?}");
            assert!(axis.ticks.contains(&0.0), "{values:?}");
        }
    }
}
