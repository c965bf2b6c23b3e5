//! What is asked of a model.

/// What is asked of a model, which decides how data are read and answers judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One class of many for a text.
    Classes,
    /// Any of several classes for a text.
    MultiLabel,
    /// A number for a text.
    Regression,
    /// A class for each word.
    Tags,
    /// Similarity of two texts by their vectors.
    Similarity,
}

impl Kind {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Classes => "classification",
            Kind::MultiLabel => "multi-label classification",
            Kind::Regression => "regression",
            Kind::Tags => "token classification",
            Kind::Similarity => "similarity",
        }
    }

    /// Sequences that the model takes for one row of the data.
    pub fn sequences(self) -> usize {
        if self == Kind::Similarity { 2 } else { 1 }
    }

    /// Rows without which no figure is defined.
    pub fn least_rows(self) -> usize {
        match self {
            // A correlation of one pair is none.
            Kind::Similarity | Kind::Regression => 2,
            Kind::Classes | Kind::MultiLabel | Kind::Tags => 1,
        }
    }
}
