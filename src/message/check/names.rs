//! Which names a template may use: those of the facts it is filled with, taken from the facts themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use serde_json::Value;

use crate::message::{
    catalogue::{self, Filling},
    daily, notice, sample, view, zalo,
};

/// The names a template may use.
#[derive(Debug, Default)]
pub struct Names {
    /// Those that stand by themselves.
    pub roots: BTreeSet<String>,
    /// Every name of the facts it sees, at any depth.
    pub all: BTreeSet<String>,
}

/// The names of a template's facts.
pub fn names(name: &str) -> &'static Names {
    static NAMES: OnceLock<BTreeMap<&'static str, Names>> = OnceLock::new();
    static NONE: OnceLock<Names> = OnceLock::new();
    let all = NAMES.get_or_init(|| {
        let seen = seen();
        let names = |values: Vec<Value>| {
            let roots = values.iter().filter_map(Value::as_object).flat_map(|map| map.keys().cloned()).collect();
            let mut names = Names { roots, all: BTreeSet::new() };
            values.iter().for_each(|value| collect(value, &mut names.all));
            names
        };
        seen.into_iter().map(|(name, values)| (name, names(values))).collect()
    });
    all.get(name).unwrap_or_else(|| NONE.get_or_init(Names::default))
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            names.insert(key.clone());
            collect(value, names);
        }),
        Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

/// What the template is filled with, for a few kinds of facts that have everything.
fn seen() -> Vec<(&'static str, Vec<Value>)> {
    let shown = |seen: &dyn erased::Shown| seen.json();
    let facts = sample::digest();
    let letter = view::letter(&facts);
    let neutral_facts = sample::single();
    let neutral = view::neutral(&neutral_facts);
    let sentence = view::Sentence::of(&letter.sections[0].items[0], &facts.items[0], &letter);
    let zalo = zalo::view(&facts).map(|view| shown(&view)).unwrap_or_default();
    let sheet = notice::view(&sample::notice(), &sample::seal(), None);
    let listed = daily::view(&sample::daily());
    let frame = view::Frame { office: &letter.office, to: &letter.to };
    catalogue::ENTRIES
        .iter()
        .map(|entry| {
            let seen = match entry.filling {
                Filling::Letter => vec![shown(&letter)],
                Filling::Both => vec![shown(&letter), shown(&neutral)],
                Filling::Neutral => vec![shown(&neutral)],
                Filling::Frame => vec![shown(&frame)],
                Filling::Sentence => vec![shown(&sentence)],
                Filling::Zalo => vec![zalo.clone()],
                Filling::Notice => vec![shown(&sheet)],
                Filling::Daily => vec![shown(&listed)],
            };
            (entry.name, seen)
        })
        .collect()
}

mod erased {
    //! A view as JSON, whatever its type.
    pub trait Shown {
        fn json(&self) -> serde_json::Value;
    }

    impl<T: serde::Serialize> Shown for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap_or_default()
        }
    }
}
