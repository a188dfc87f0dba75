//! Which attribute wins. Pure: an app's own beat the shared ones, a manifest's beat
//! the inherited ones; `env` is merged key by key and lists are joined.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::node::{Kind, Node};

/// An attribute and the file that says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Value with its line.
    pub node: Node,
    /// File, for errors and for relative paths.
    pub file: Rc<PathBuf>,
}

/// Attributes by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// `own` over `base`.
pub fn over(base: &Attributes, own: Attributes) -> Attributes {
    let mut all = base.clone();
    for (key, attribute) in own {
        let merged = match all.remove(&key) {
            None => attribute,
            Some(below) => Attribute {
                node: Node {
                    line: attribute.node.line,
                    value: join(below.node.value, attribute.node.value),
                },
                file: attribute.file,
            },
        };
        all.insert(key, merged);
    }
    all
}

/// Maps key by key, lists one after the other without doubles, the rest by replacing.
fn join(below: Kind, above: Kind) -> Kind {
    match (below, above) {
        (Kind::Map(below), Kind::Map(above)) => {
            let kept = below
                .into_iter()
                .filter(|(key, _)| above.iter().all(|(k, _)| k != key));
            let mut all: Vec<_> = kept.collect();
            all.extend(above);
            Kind::Map(all)
        }
        (Kind::List(below), Kind::List(above)) => {
            let mut all = below;
            for item in above {
                if all.iter().all(|known| known.value != item.value) {
                    all.push(item);
                }
            }
            Kind::List(all)
        }
        (_, above) => above,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(value: Kind) -> Node {
        Node { line: 1, value }
    }

    fn leaf() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Null),
            any::<bool>().prop_map(Kind::Bool),
            "[a-c]{1,2}".prop_map(Kind::Text),
            any::<u8>().prop_map(|n| Kind::Number(n.into())),
        ]
    }

    /// Attributes of fixed kinds, as manifests have them.
    fn attributes() -> impl Strategy<Value = Attributes> {
        let env = proptest::collection::btree_map("[A-C]", leaf(), 0..3);
        let env = env.prop_map(|m| Kind::Map(m.into_iter().map(|(k, v)| (k, node(v))).collect()));
        let list = proptest::collection::btree_set("[a-d]", 0..3);
        let list =
            list.prop_map(|s| Kind::List(s.into_iter().map(|t| node(Kind::Text(t))).collect()));
        let maybe = |kind: BoxedStrategy<Kind>| proptest::option::of(kind);
        (
            maybe(leaf().boxed()),
            maybe(env.boxed()),
            maybe(list.boxed()),
        )
            .prop_map(|(memory, env, services)| {
                [("memory", memory), ("env", env), ("services", services)]
                    .into_iter()
                    .filter_map(|(key, kind)| {
                        let attribute = Attribute {
                            node: node(kind?),
                            file: Rc::new("m.yml".into()),
                        };
                        Some((key.to_owned(), attribute))
                    })
                    .collect()
            })
    }

    proptest! {
        #[test]
        fn nothing_merged_changes_nothing(a in attributes()) {
            prop_assert_eq!(over(&a, Attributes::new()), a.clone());
            prop_assert_eq!(over(&Attributes::new(), a.clone()), a);
        }

        #[test]
        fn merging_twice_is_merging_once(a in attributes(), b in attributes()) {
            let once = over(&a, b.clone());
            prop_assert_eq!(over(&once, b), once);
        }

        #[test]
        fn the_order_of_brackets_does_not_matter(
            a in attributes(), b in attributes(), c in attributes()
        ) {
            let left = over(&over(&a, b.clone()), c.clone());
            let right = over(&a, over(&b, c));
            prop_assert_eq!(left, right);
        }

        #[test]
        fn an_own_scalar_and_every_own_variable_win(a in attributes(), b in attributes()) {
            let merged = over(&a, b.clone());
            if let Some(own) = b.get("memory") {
                prop_assert_eq!(&merged["memory"], own);
            }
            if let Some(Kind::Map(own)) = b.get("env").map(|e| &e.node.value) {
                let Kind::Map(all) = &merged["env"].node.value else { panic!("a map") };
                for entry in own {
                    prop_assert!(all.contains(entry));
                }
            }
        }
    }
}
