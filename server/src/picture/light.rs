//! For how much light a photo was exposed, by what the camera wrote of it.

/// One exposure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    pub f_number: f64,
    pub seconds: f64,
    /// ISO speed.
    pub iso: f64,
    /// A flash lit the scene, too, or may have.
    pub flash: bool,
}

impl Exposure {
    /// The exposure value at ISO 100 (ISO 2720): about 15 for what the sun shines on, 5 to 8 for a lit room, 0 and less
    /// for what only the moon does. `None` where the numbers give none that a camera could expose for.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        let value = (self.f_number * self.f_number / self.seconds).log2() - (self.iso / 100.0).log2();
        // From stars to the sun itself.
        (-12.0..=24.0).contains(&value).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_scenes_have_their_known_values() {
        let value = |f_number, seconds, iso| {
            let exposure = Exposure { f_number, seconds, iso, flash: false };
            exposure.value().map(|value| (value * 10.0).round() as i64)
        };
        assert_eq!(value(16.0, 1.0 / 125.0, 100.0), Some(150), "sunny sixteen");
        assert_eq!(value(2.8, 1.0 / 60.0, 800.0), Some(59), "a lit room");
        assert_eq!(value(1.0, 1.0, 100.0), Some(0));
        assert_eq!(value(1.0, 1.0, 200.0), Some(-10));
        for (f_number, seconds, iso) in
            [(0.0, 1.0, 100.0), (1.0, 0.0, 100.0), (1.0, 1.0, 0.0), (65_535.0, 1.0, 100.0), (1.0, 1.0, 1e9)]
        {
            assert_eq!(value(f_number, seconds, iso), None);
        }
    }
}
