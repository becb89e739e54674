//! Writes a merged tree as an index.

use std::io::{self, Write};
use std::path::Path;

use bytemuck::{Pod, Zeroable};

use super::layout::{BodyRef, Dirent, Header, Inode, Layer, MAGIC, NONE, Section, VERSION, Xattr};
use crate::Error;
use crate::index::FileKind;
use crate::layer::scratch::{COLD, Scratch};
use crate::layer::tree::{NodeId, Tree};

/// The arrays of an index while it is made.
struct Arrays {
    inodes: Scratch<Inode>,
    dirents: Scratch<Dirent>,
    xattrs: Scratch<Xattr>,
    bodies: Scratch<BodyRef>,
    layers: Scratch<Layer>,
    strings: Scratch<u8>,
}

/// Writes the index of `tree`, whose bodies are in `layers` (hex digests). What is big on the way is kept in files
/// without name in `scratch`, or in memory if there is none.
///
/// # Errors
/// What writing to `out` gives, and more than 2³² inodes, names or bytes of names.
pub(crate) fn write(
    tree: &mut Tree,
    layers: &[String],
    scratch: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let arrays = Arrays::of(tree, layers, scratch)?;
    arrays.write(out).map_err(|source| Error::Io { what: "writing an image index".into(), source })
}

impl Arrays {
    fn of(tree: &mut Tree, layers: &[String], scratch: Option<&Path>) -> Result<Arrays, Error> {
        let mut a = Arrays {
            inodes: Scratch::new(scratch, COLD),
            dirents: Scratch::new(scratch, COLD),
            xattrs: Scratch::new(scratch, COLD),
            bodies: Scratch::new(scratch, COLD),
            layers: Scratch::new(scratch, COLD),
            strings: Scratch::new(scratch, COLD),
        };
        for hex in layers {
            let layer = Layer { hex: a.strings.extend(hex.as_bytes())?, hex_len: hex.len() as u32 };
            a.layers.push(layer)?;
        }
        tree.finish();
        let mut order: Vec<NodeId> = vec![tree.root()];
        let mut numbers: Vec<u32> = vec![0; tree.len()];
        numbers[tree.root().index()] = a.add_inode(tree, tree.root(), NONE, NONE)?;
        let mut at = 0;
        let (mut children, mut names) = (Vec::new(), Vec::new());
        while let Some(&dir) = order.get(at) {
            at += 1;
            let number = numbers[dir.index()];
            let first = a.dirents.len() as u32;
            children.clear();
            children.extend(tree.children(dir).map(|entry| (0, entry)));
            tree.sort(&mut children, &mut names);
            let mut subdirs = 0;
            for &(_, entry) in &children {
                let (name, child) = tree.entry(entry);
                let (name_len, name) = (name.len() as u16, a.strings.extend(name)?);
                let same = tree.node(child).same;
                let child = if same == NONE { child } else { NodeId(same) };
                let alias = a.dirents.len() as u32;
                let kind = FileKind::of_mode(tree.node(child).mode).unwrap_or(FileKind::Regular);
                if numbers[child.index()] == 0 {
                    numbers[child.index()] = a.add_inode(tree, child, number, alias)?;
                    if kind == FileKind::Directory {
                        order.push(child);
                        subdirs += 1;
                    }
                }
                let ino = numbers[child.index()];
                if kind != FileKind::Directory {
                    a.inodes.at_mut(ino - 1).nlink += 1;
                }
                a.dirents.push(Dirent { name, ino, name_len, kind: kind.dt() })?;
            }
            let count = a.dirents.len() as u32 - first;
            let inode = a.inodes.at_mut(number - 1);
            inode.first = first;
            inode.count = count;
            inode.nlink = 2 + subdirs;
        }
        tree.release();
        a.bodies.sort_unstable_by_key(|b| (b.layer, b.n));
        a.bodies.release();
        Ok(a)
    }

    /// Its number.
    fn add_inode(&mut self, tree: &Tree, id: NodeId, parent: u32, alias: u32) -> Result<u32, Error> {
        let number = self.inodes.len() as u32 + 1;
        let node = *tree.node(id);
        let mut inode = Inode {
            size: tree.size(id),
            mtime_sec: node.mtime_sec,
            mtime_nsec: node.mtime_nsec,
            body_n: if node.body_layer == NONE { 0 } else { node.body_n },
            body_layer: node.body_layer,
            rdev: node.rdev,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            parent,
            alias,
            ..Inode::zeroed()
        };
        if let Some(target) = tree.symlink(id) {
            inode.first = self.strings.extend(target)?;
            inode.count = target.len() as u32;
        }
        inode.xattr_first = self.xattrs.len() as u32;
        for (name, value) in tree.xattrs(id) {
            let xattr = Xattr {
                name: self.strings.extend(name)?,
                name_len: name.len() as u32,
                value: self.strings.extend(value)?,
                value_len: value.len() as u32,
            };
            self.xattrs.push(xattr)?;
        }
        inode.xattr_count = self.xattrs.len() as u32 - inode.xattr_first;
        if node.body_layer != NONE {
            self.bodies.push(BodyRef { n: node.body_n, layer: node.body_layer, ino: number })?;
        }
        self.inodes.push(inode)?;
        Ok(number)
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let counts = [
            (size_of::<Inode>(), self.inodes.len()),
            (size_of::<Dirent>(), self.dirents.len()),
            (size_of::<Xattr>(), self.xattrs.len()),
            (size_of::<BodyRef>(), self.bodies.len()),
            (size_of::<Layer>(), self.layers.len()),
            (1, self.strings.len()),
        ];
        let mut end = size_of::<Header>() as u64;
        let places = counts.map(|(size, count)| {
            let section = Section { offset: end, count: count as u64 };
            end += ((size * count) as u64).next_multiple_of(8);
            section
        });
        let [inodes, dirents, xattrs, bodies, layers, strings] = places;
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            header_len: size_of::<Header>() as u32,
            file_len: end,
            inodes,
            dirents,
            xattrs,
            bodies,
            layers,
            strings,
        };
        out.write_all(bytemuck::bytes_of(&header))?;
        section(&self.inodes, out)?;
        section(&self.dirents, out)?;
        section(&self.xattrs, out)?;
        section(&self.bodies, out)?;
        section(&self.layers, out)?;
        section(&self.strings, out)
    }
}

fn section<T: Pod>(array: &Scratch<T>, out: &mut impl Write) -> io::Result<()> {
    let bytes: &[u8] = bytemuck::cast_slice(array);
    for part in bytes.chunks(8 << 20) {
        out.write_all(part)?;
        array.release();
    }
    out.write_all(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()])
}
