//! What the verifier proves of a program, as a numbered list.

/// One of the things that hold for every program that passes. Their proofs are in
/// `docs/verifier.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Obligation {
    /// The program was made for this contract and geometry, and asks for the features it uses.
    Requirements = 1,
    /// 1 to 65536 instructions, the last END, and no other.
    Shape,
    /// Every field legal, every on-chip word inside its memory, every instruction encodable.
    Fields,
    /// A relocation for each LOAD and STORE and for nothing else; accesses inside their regions;
    /// the parts that the host uses inside theirs, and of the size of sequence and hidden.
    Regions,
    /// Every DDR address a multiple of 16 bytes.
    Alignment,
    /// STORE writes the output region only.
    Direction,
    /// Each semaphore raised by one queue, taken by one, as often, and never above its maximum,
    /// whatever instructions take how long.
    Semaphores,
    /// Every instruction is reached, whatever instructions take how long.
    Progress,
    /// Of two instructions that touch the same word or beat, one of them writing, one is forced to
    /// come first.
    Order,
    /// Every byte that is read, on chip or of the output region, was written before in this run;
    /// LOADs from the input region read what the host writes.
    Initialisation,
    /// No instruction writes what it may still have to read itself, or a word for two tiles.
    SelfOverlap,
    /// Every byte of the output that the host reads is stored.
    Output,
}

impl Obligation {
    /// All of them, by number.
    pub const ALL: [Self; 12] = [
        Self::Requirements,
        Self::Shape,
        Self::Fields,
        Self::Regions,
        Self::Alignment,
        Self::Direction,
        Self::Semaphores,
        Self::Progress,
        Self::Order,
        Self::Initialisation,
        Self::SelfOverlap,
        Self::Output,
    ];

    /// Its number in `docs/verifier.md`.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requirements => "requirements",
            Self::Shape => "shape",
            Self::Fields => "fields",
            Self::Regions => "regions",
            Self::Alignment => "alignment",
            Self::Direction => "direction",
            Self::Semaphores => "semaphores",
            Self::Progress => "progress",
            Self::Order => "order",
            Self::Initialisation => "initialisation",
            Self::SelfOverlap => "self-overlap",
            Self::Output => "output",
        }
    }

    /// What to do about a violation of it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Requirements => "compile the model for this geometry with this version",
            Self::Shape => "end the program with one END; use a shorter sequence if it is too long",
            Self::Fields => "give the field a legal value (docs/contract.md)",
            Self::Regions => "relocate each LOAD and STORE once, to bytes inside its region",
            Self::Alignment => "place what is copied at a multiple of 16 bytes",
            Self::Direction => "store to the output region",
            Self::Semaphores => {
                "use one semaphore for each pair of queues, taken as often as raised, and let the \
                 consumer's progress hold the producer back"
            }
            Self::Progress => "break the circle of waits: raise before it is waited for",
            Self::Order => "let the later instruction wait for a semaphore that the earlier raises",
            Self::Initialisation => "write what is read, in the same run and before",
            Self::SelfOverlap => {
                "write to words that the instruction does not read, each tile to its own"
            }
            Self::Output => "store every byte of the output",
        }
    }
}
