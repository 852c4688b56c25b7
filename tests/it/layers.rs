//! The floors of the library: a module names only itself and lower ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use syn::visit::Visit;

/// From the ground up; modules of one line stand on the same floor and do not name each other.
const FLOORS: &[&[&str]] = &[
    &["status", "buffer", "units", "extensions", "describe"],
    &["wire"],
    &["codec", "travel"],
    &["method"],
    &["error"],
    &["socket"],
    &["logs"],
    &["session"],
    &["call"],
    &["context"],
    &["plugin"],
    &["router"],
    &["settings"],
    &["peer"],
    &["proxy"],
    &["registry"],
    &["plugins"],
];

/// Stands above the public face and names nothing else: what is public at the root, by its name there. That it calls
/// nothing else either is for `tests/plugins`, which builds it from outside.
const ABOVE: &str = "plugins";

/// Every `crate::<module>` that a file names, in paths and in imports.
#[derive(Default)]
struct Named(Vec<String>);

impl<'ast> Visit<'ast> for Named {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(module) = segments.next()
        {
            self.0.push(module.ident.to_string());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == "crate"
        {
            self.heads(&path.tree);
        }
    }
}

impl Named {
    fn heads(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.0.push(path.ident.to_string()),
            syn::UseTree::Name(name) => self.0.push(name.ident.to_string()),
            syn::UseTree::Rename(rename) => self.0.push(rename.ident.to_string()),
            syn::UseTree::Glob(_) => self.0.push("*".into()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.heads(tree)),
        }
    }
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Whether this is a name of the public face.
fn is_public(name: &str) -> bool {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let source = fs::read_to_string(sources().join("lib.rs")).expect("the root can be read");
        public_names(&syn::parse_file(&source).expect("the root can be parsed"))
    });
    NAMES.iter().any(|public| public == name)
}

/// The names that a root makes public: modules, and what it exports from others.
fn public_names(root: &syn::File) -> Vec<String> {
    fn leaves(tree: &syn::UseTree, names: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => leaves(&path.tree, names),
            syn::UseTree::Name(name) => names.push(name.ident.to_string()),
            syn::UseTree::Rename(rename) => names.push(rename.rename.to_string()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, names)),
            syn::UseTree::Glob(_) => {}
        }
    }
    let mut names = Vec::new();
    for item in &root.items {
        match item {
            syn::Item::Use(item) if matches!(item.vis, syn::Visibility::Public(_)) => {
                leaves(&item.tree, &mut names);
            }
            syn::Item::Mod(item)
                if matches!(item.vis, syn::Visibility::Public(_)) && item.ident != "__private" =>
            {
                names.push(item.ident.to_string());
            }
            _ => {}
        }
    }
    names
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../teleport/src")
}

fn check(module: &str, path: &Path, wrong: &mut Vec<String>) -> usize {
    if path.is_dir() {
        let mut count = 0;
        for entry in fs::read_dir(path).expect("a folder of the library can be read") {
            count += check(module, &entry.expect("an entry can be read").path(), wrong);
        }
        return count;
    }
    let own =
        floor(module).unwrap_or_else(|| panic!("the module {module} stands on no floor: add it to FLOORS"));
    let source = fs::read_to_string(path).expect("a source file can be read");
    let file = syn::parse_file(&source).expect("a source file can be parsed");
    let mut named = Named::default();
    named.visit_file(&file);
    for other in named.0 {
        let is_lower =
            if module == ABOVE { is_public(&other) } else { floor(&other).is_some_and(|floor| floor < own) };
        if other != module && !is_lower {
            wrong.push(format!("{} names crate::{other}", path.display()));
        }
    }
    1
}

#[test]
fn a_module_names_only_lower_floors() {
    let (mut wrong, mut files) = (Vec::new(), 0);
    for entry in fs::read_dir(sources()).expect("the library's sources can be read") {
        let path = entry.expect("an entry can be read").path();
        let module = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        if module != "lib" {
            files += check(&module, &path, &mut wrong);
        }
    }
    assert!(files > 30, "only {files} files were read");
    assert!(wrong.is_empty(), "names a floor that is not lower:\n{}", wrong.join("\n"));
}

#[test]
fn the_check_sees_imports_and_paths() {
    let file = syn::parse_str::<syn::File>(
        "use crate::{session::Session, wire as w}; fn f() -> crate::peer::Peer { crate::router::x() }",
    )
    .expect("the sample can be parsed");
    let mut named = Named::default();
    named.visit_file(&file);
    named.0.sort();
    assert_eq!(named.0, ["peer", "router", "session", "wire"]);
}

#[test]
fn the_public_face_is_read_from_the_root() {
    assert!(["Session", "plugin", "wire", "Plugin"].into_iter().all(is_public));
    assert!(!["session", "peer", "buffer", "Shared", "__private"].into_iter().any(is_public));
}
