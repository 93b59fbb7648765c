//! The eight ways in which a rectangle can be laid down again: turns by right angles and mirrorings.

/// One of the eight: first mirrored along its main diagonal or not, then mirrored top to bottom or not, then left
/// to right or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Symmetry {
    pub transposed: bool,
    pub rows_reversed: bool,
    pub columns_reversed: bool,
}

impl Symmetry {
    /// All eight, the untouched one first.
    pub const ALL: [Self; 8] = [
        Self::new(false, false, false),
        Self::new(true, false, true),
        Self::new(false, true, true),
        Self::new(true, true, false),
        Self::new(false, false, true),
        Self::new(false, true, false),
        Self::new(true, false, false),
        Self::new(true, true, true),
    ];

    const fn new(transposed: bool, rows_reversed: bool, columns_reversed: bool) -> Self {
        Self { transposed, rows_reversed, columns_reversed }
    }

    /// What was done to a picture so that it came to lie like this.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.transposed, self.rows_reversed, self.columns_reversed) {
            (false, false, false) => "the same way up",
            (true, false, true) => "turned 90° clockwise",
            (false, true, true) => "turned 180°",
            (true, true, false) => "turned 90° counter-clockwise",
            (false, false, true) => "mirrored left to right",
            (false, true, false) => "mirrored top to bottom",
            (true, false, false) => "mirrored along the falling diagonal",
            (true, true, true) => "mirrored along the rising diagonal",
        }
    }
}
