//! Writes a merged tree as an index.

use std::collections::HashMap;
use std::io::{self, Write};

use bytemuck::Zeroable;

use super::layout::{BodyRef, Dirent, Header, Inode, Layer, MAGIC, NONE, Section, VERSION, Xattr};
use crate::Error;
use crate::layer::tree::{NodeId, Tree};

/// The arrays of an index while it is made.
#[derive(Default)]
struct Arrays {
    inodes: Vec<Inode>,
    dirents: Vec<Dirent>,
    xattrs: Vec<Xattr>,
    bodies: Vec<BodyRef>,
    layers: Vec<Layer>,
    strings: Vec<u8>,
}

/// Writes the index of `tree`, whose bodies are in `layers` (hex digests).
///
/// # Errors
/// What writing to `out` gives, and more than 2³² inodes, names or bytes of names.
pub(crate) fn write(tree: &Tree, layers: &[String], out: &mut impl Write) -> Result<(), Error> {
    let arrays = Arrays::of(tree, layers).ok_or_else(|| Error::Unsupported("the image is too big".into()))?;
    arrays.write(out).map_err(|source| Error::Io { what: "writing an image index".into(), source })
}

impl Arrays {
    /// `None`: some ordinal does not fit.
    fn of(tree: &Tree, layers: &[String]) -> Option<Arrays> {
        let mut a = Arrays::default();
        for hex in layers {
            let layer = Layer { hex: a.string(hex.as_bytes())?, hex_len: ordinal(hex.len())? };
            a.layers.push(layer);
        }
        // Where a layer occurs twice, two nodes may have one body; the body names the inode, so they are one.
        let mut by_body: HashMap<(u32, u64), u32> = HashMap::new();
        let mut numbers: Vec<u32> = vec![0; tree.len()];
        let mut order: Vec<NodeId> = vec![tree.root()];
        numbers[tree.root().index()] = 1;
        a.add_inode(tree, tree.root(), NONE, NONE)?;
        let mut at = 0;
        while let Some(&dir) = order.get(at) {
            at += 1;
            let number = numbers[dir.index()];
            let first = ordinal(a.dirents.len())?;
            let Some(children) = tree.children(dir) else { continue };
            let mut subdirs = 0;
            for (name, &child) in children {
                let alias = ordinal(a.dirents.len())?;
                let node = tree.node(child);
                if numbers[child.index()] == 0 {
                    numbers[child.index()] = match node.body.and_then(|b| by_body.get(&b)) {
                        Some(&known) => known,
                        None => {
                            let fresh = a.add_inode(tree, child, number, alias)?;
                            if let Some(body) = node.body.filter(|_| tree.has_repeated_layers()) {
                                by_body.insert(body, fresh);
                            }
                            if tree.children(child).is_some() {
                                order.push(child);
                                subdirs += 1;
                            }
                            fresh
                        }
                    };
                }
                let ino = numbers[child.index()];
                if tree.children(child).is_none() {
                    a.inodes[ino as usize - 1].nlink += 1;
                }
                let name_at = a.string(name)?;
                a.dirents.push(Dirent {
                    name: name_at,
                    ino,
                    name_len: u16::try_from(name.len()).ok()?,
                    kind: node.kind.dt(),
                });
            }
            let inode = &mut a.inodes[number as usize - 1];
            inode.first = first;
            inode.count = ordinal(a.dirents.len())? - first;
            inode.nlink = 2 + subdirs;
        }
        a.bodies.sort_unstable_by_key(|b| (b.layer, b.n));
        Some(a)
    }

    fn add_inode(&mut self, tree: &Tree, id: NodeId, parent: u32, alias: u32) -> Option<u32> {
        let node = tree.node(id);
        let number = ordinal(self.inodes.len() + 1)?;
        let (body_layer, body_n) = node.body.unwrap_or((NONE, 0));
        let mut inode = Inode {
            size: node.size(),
            mtime_sec: node.mtime.sec,
            mtime_nsec: node.mtime.nsec,
            body_n,
            body_layer,
            rdev: node.rdev,
            mode: node.kind.mode_bits() | node.mode,
            uid: node.uid,
            gid: node.gid,
            parent,
            alias,
            ..Inode::zeroed()
        };
        if let Some(target) = node.symlink() {
            inode.first = self.string(target)?;
            inode.count = ordinal(target.len())?;
        }
        inode.xattr_first = ordinal(self.xattrs.len())?;
        inode.xattr_count = ordinal(node.xattrs.len())?;
        for (name, value) in &node.xattrs {
            let xattr = Xattr {
                name: self.string(name)?,
                name_len: ordinal(name.len())?,
                value: self.string(value)?,
                value_len: ordinal(value.len())?,
            };
            self.xattrs.push(xattr);
        }
        if body_layer != NONE {
            self.bodies.push(BodyRef { n: body_n, layer: body_layer, ino: number });
        }
        self.inodes.push(inode);
        Some(number)
    }

    fn string(&mut self, text: &[u8]) -> Option<u32> {
        let at = ordinal(self.strings.len())?;
        self.strings.extend_from_slice(text);
        ordinal(self.strings.len())?;
        Some(at)
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let sections: [(&[u8], usize); 6] = [
            (bytemuck::cast_slice(&self.inodes), self.inodes.len()),
            (bytemuck::cast_slice(&self.dirents), self.dirents.len()),
            (bytemuck::cast_slice(&self.xattrs), self.xattrs.len()),
            (bytemuck::cast_slice(&self.bodies), self.bodies.len()),
            (bytemuck::cast_slice(&self.layers), self.layers.len()),
            (&self.strings, self.strings.len()),
        ];
        let mut end = size_of::<Header>() as u64;
        let places = sections.map(|(bytes, count)| {
            let section = Section { offset: end, count: count as u64 };
            end += (bytes.len() as u64).next_multiple_of(8);
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
        for (bytes, _) in sections {
            out.write_all(bytes)?;
            out.write_all(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()])?;
        }
        Ok(())
    }
}

/// An ordinal or a length as records hold it; [`NONE`] is never one.
fn ordinal(n: usize) -> Option<u32> {
    u32::try_from(n).ok().filter(|&n| n != NONE)
}
