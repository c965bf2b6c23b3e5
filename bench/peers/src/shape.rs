//! Encoder shapes.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The vocabulary of BERT's English models.
pub const VOCABULARY: usize = 30522;
/// Rows of the position table, as BERT has them.
pub const POSITIONS: usize = 512;

/// Numbers that decide what an encoder costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub intermediate: usize,
}

impl Shape {
    /// Multiply-accumulates of one inference on `tokens` tokens: the projections, and scores and
    /// mixing of the attention.
    pub fn macs(&self, tokens: usize) -> f64 {
        let (t, h, i) = (tokens as f64, self.hidden as f64, self.intermediate as f64);
        self.layers as f64 * (t * (4.0 * h * h + 2.0 * h * i) + 2.0 * t * t * h)
    }
}

const NAMED: [(&str, [usize; 4]); 4] = [
    ("bert-tiny", [2, 128, 2, 512]),
    ("minilm-l6", [6, 384, 12, 1536]),
    ("bert-base", [12, 768, 12, 3072]),
    ("bert-large", [24, 1024, 16, 4096]),
];

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let numbers = match named {
            Some((_, numbers)) => *numbers,
            None => {
                let parsed: Result<Vec<usize>, _> =
                    text.split(',').map(|n| n.trim().parse()).collect();
                parsed
                    .ok()
                    .and_then(|n| <[usize; 4]>::try_from(n).ok())
                    .ok_or_else(|| {
                        format!(
                            "expected {} or LAYERS,HIDDEN,HEADS,INTERMEDIATE",
                            NAMED.map(|(n, _)| n).join(", ")
                        )
                    })?
            }
        };
        let [layers, hidden, heads, intermediate] = numbers;
        let whole =
            heads > 0 && hidden % heads == 0 && (hidden / heads) % 8 == 0 && intermediate % 8 == 0;
        let bounded = (1..=48).contains(&layers)
            && (8..=4096).contains(&hidden)
            && (8..=16384).contains(&intermediate);
        if whole && bounded {
            Ok(Self {
                layers,
                hidden,
                heads,
                intermediate,
            })
        } else {
            Err(
                "1..=48 layers, 8..=4096 channels in heads of a multiple of 8, \
                 8..=16384 channels between, a multiple of 8"
                    .into(),
            )
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            layers,
            hidden,
            heads,
            intermediate,
        } = *self;
        match NAMED
            .iter()
            .find(|(_, n)| *n == [layers, hidden, heads, intermediate])
        {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{layers},{hidden},{heads},{intermediate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_bounded() {
        let base: Shape = "bert-base".parse().expect("a name");
        assert_eq!(base.to_string(), "bert-base");
        assert_eq!("12,768,12,3072".parse(), Ok(base));
        for wrong in [
            "",
            "bert",
            "12,768,0,3072",
            "12,768,7,3072",
            "1,2,3",
            "1,2,3,4,5",
            "1,8,1,-8",
            "0,8,1,8",
            "99999999999999999999,8,1,8",
        ] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
        // 85 million weights, 128 tokens, and 2 * 128 * 128 * 768 of attention in each of 12
        // layers.
        assert_eq!(base.macs(128), 128.0 * 84_934_656.0 + 12.0 * 25_165_824.0);
    }
}
