//! Values that recur by the thousand, kept once each and known by a number.

use std::{collections::HashMap, hash::Hash};

/// Values, each once, in the order of their first appearance.
pub struct Kept<T> {
    all: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Kept<T> {
    /// The number of a value, a new one if it was not there.
    pub fn number(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = self.all.len() as u32;
        self.all.push(value.clone());
        self.numbers.insert(value.clone(), number);
        number
    }
}

impl<T> Kept<T> {
    /// The value of a number that [`Kept::number`] gave.
    pub fn get(&self, number: u32) -> &T {
        &self.all[number as usize]
    }

    /// All values, by number.
    pub fn all(&self) -> &[T] {
        &self.all
    }
}

impl<T: Ord> Kept<T> {
    /// For each number the rank of its value among all, from 0.
    pub fn ranks(&self) -> Vec<u32> {
        ranks(&self.all)
    }
}

/// For each place the rank of its value among all, from 0; equal values have one rank.
pub fn ranks<T: Ord>(values: &[T]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|a, b| values[*a as usize].cmp(&values[*b as usize]));
    let mut ranks = vec![0; values.len()];
    let mut rank = 0;
    for pair in order.windows(2) {
        rank += u32::from(values[pair[0] as usize] != values[pair[1] as usize]);
        ranks[pair[1] as usize] = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_number_and_equal_values_one_rank() {
        let mut kept = Kept::default();
        let numbers = ["b", "a", "b", "c"].map(|text| kept.number(&text));
        assert_eq!(numbers, [0, 1, 0, 2]);
        assert_eq!(kept.ranks(), [1, 0, 2]);
        assert_eq!(ranks(&[5, 3, 5, 1]), [2, 1, 2, 0]);
    }
}
