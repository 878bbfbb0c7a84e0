//! Elements of ASN.1: tag, length, content.
//!
//! Lengths are those of DER, but for the envelope that platforms still write with an open end (EC2 does). It must never
//! take two spellings where one is signed, and never go deeper or further than a signed document needs (T-32).

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// The element with its header, and with its end marker where it has one.
    pub(super) whole: &'a [u8],
    ends: Ends,
    depth: u8,
}

/// Whether an element may say where it ends only by an end marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// It may, or begin with its length.
    Marked,
    /// It begins with its length (X.690 section 10.1).
    Told,
}

/// Reads the elements of one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    ends: Ends,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// Reads elements that begin with their length, or not.
    pub(super) fn new(bytes: &'a [u8], ends: Ends) -> Self {
        Self {
            rest: bytes,
            ends,
            depth: 0,
        }
    }

    /// Returns the next element; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, BerRefused> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (tag, form, after) = header(self.rest)?;
        let (content, left) = match form {
            Form::Told(length) => after.split_at_checked(length).ok_or(BerRefused::Short)?,
            Form::Marked => {
                if self.ends == Ends::Told {
                    return Err(BerRefused::Open { tag });
                }
                let inner = marked_length(after, self.depth)?;
                let (content, left) = after.split_at_checked(inner).ok_or(BerRefused::Short)?;
                let left = left.get(END.len()..).ok_or(BerRefused::Short)?;
                (content, left)
            }
        };
        let whole = self.rest.len() - left.len();
        let whole = self.rest.get(..whole).ok_or(BerRefused::Short)?;
        self.rest = left;
        Ok(Some(Element {
            tag,
            content,
            whole,
            ends: self.ends,
            depth: self.depth,
        }))
    }

    /// Returns the next element, which has this tag.
    pub(super) fn required(&mut self, tag: u8) -> Result<Element<'a>, BerRefused> {
        let found = self.next()?;
        found.filter(|element| element.tag == tag).ok_or(BerRefused::Tag {
            found: found.map(|element| element.tag),
            expected: tag,
        })
    }

    /// Returns the next element if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, BerRefused> {
        let mut ahead = *self;
        match ahead.next()? {
            Some(element) if element.tag == tag => {
                *self = ahead;
                Ok(Some(element))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Refuses whatever is left.
    pub(super) fn end(mut self) -> Result<(), BerRefused> {
        match self.next()? {
            None => Ok(()),
            Some(element) => Err(BerRefused::Rest { tag: element.tag }),
        }
    }
}

impl<'a> Element<'a> {
    /// Reads the elements within, whose ends are as this one's may be.
    pub(super) fn inside(&self) -> Result<Reader<'a>, BerRefused> {
        self.with(self.ends)
    }

    /// Reads the elements within, each of which begins with its length.
    pub(super) fn inside_told(&self) -> Result<Reader<'a>, BerRefused> {
        self.with(Ends::Told)
    }

    fn with(&self, ends: Ends) -> Result<Reader<'a>, BerRefused> {
        let depth = deeper(self.depth)?;
        Ok(Reader {
            rest: self.content,
            ends,
            depth,
        })
    }
}

enum Form {
    Marked,
    Told(usize),
}

fn header(bytes: &[u8]) -> Result<(u8, Form, &[u8]), BerRefused> {
    let (tag, rest) = bytes.split_first().ok_or(BerRefused::Short)?;
    if *tag == 0 || tag & 0x1f == 0x1f {
        return Err(BerRefused::TagForm { found: *tag });
    }
    let (first, rest) = rest.split_first().ok_or(BerRefused::Short)?;
    match first {
        length @ 0..=0x7f => Ok((*tag, Form::Told(usize::from(*length)), rest)),
        0x80 if tag & CONSTRUCTED != 0 => Ok((*tag, Form::Marked, rest)),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let (digits, rest) = rest.split_at_checked(count).ok_or(BerRefused::Short)?;
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            // One spelling only: a shorter one must not be possible.
            let fewest = if count == 1 { 0x80 } else { 1 << (8 * (count - 1)) };
            if length < fewest {
                return Err(BerRefused::LengthForm);
            }
            Ok((*tag, Form::Told(length), rest))
        }
        _ => Err(BerRefused::LengthForm),
    }
}

/// Returns how many bytes stand before the end marker of this level.
fn marked_length(bytes: &[u8], depth: u8) -> Result<usize, BerRefused> {
    let depth = deeper(depth)?;
    let mut rest = bytes;
    loop {
        if rest.starts_with(&END) {
            return Ok(bytes.len() - rest.len());
        }
        let (_, form, after) = header(rest)?;
        rest = match form {
            Form::Told(length) => after.get(length..).ok_or(BerRefused::Short)?,
            Form::Marked => {
                let inner = marked_length(after, depth)?;
                after.get(inner + END.len()..).ok_or(BerRefused::Short)?
            }
        };
    }
}

fn deeper(depth: u8) -> Result<u8, BerRefused> {
    Some(depth + 1)
        .filter(|depth| *depth <= MAX_DEPTH)
        .ok_or(BerRefused::Depth)
}

/// Bytes are no elements that are taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerRefused {
    /// More levels than a signed document has.
    #[error("found more than {MAX_DEPTH} levels of elements")]
    Depth,
    /// A length in another form than the shortest.
    #[error("found a length in another form than the shortest")]
    LengthForm,
    /// An element with an open end where every element tells its length.
    #[error("found element {tag:#04x} with an open end, expected its length")]
    Open {
        /// The tag.
        tag: u8,
    },
    /// Something stands behind the last element.
    #[error("found element {tag:#04x} behind the last one expected")]
    Rest {
        /// The tag.
        tag: u8,
    },
    /// The bytes end within an element.
    #[error("the bytes end within an element")]
    Short,
    /// An element has another tag.
    #[error("found element {found:02x?}, expected {expected:#04x}")]
    Tag {
        /// What was found; nothing at the end.
        found: Option<u8>,
        /// What should be there.
        expected: u8,
    },
    /// A tag of more than one byte, or none.
    #[error("found tag {found:#04x}, expected one of a single byte")]
    TagForm {
        /// Its first byte.
        found: u8,
    },
}

/// The bit of elements that hold elements.
const CONSTRUCTED: u8 = 0x20;

/// X.690 section 8.1.5.
const END: [u8; 2] = [0, 0];

/// A SignedData has nine levels above its attributes' values, certificates being read by another reader.
const MAX_DEPTH: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8]) -> Result<Option<Element<'_>>, BerRefused> {
        Reader::new(bytes, Ends::Marked).next()
    }

    #[test]
    fn reads_elements_of_told_and_of_marked_ends() {
        let told = first(&[0x30, 0x03, 0x02, 0x01, 0x05]).unwrap().unwrap();
        let marked = first(&[0x30, 0x80, 0x02, 0x01, 0x05, 0x00, 0x00]).unwrap().unwrap();

        assert_eq!(told.content, marked.content);
        let mut inside = marked.inside().unwrap();
        assert_eq!(inside.required(0x02).unwrap().content, [5]);
        assert_eq!(inside.end(), Ok(()));
    }

    #[test]
    fn a_marked_end_within_another_is_found() {
        let bytes = [0x30, 0x80, 0xa0, 0x80, 0x04, 0x02, 0, 0, 0, 0, 0, 0, 0x02, 0x00];
        let mut reader = Reader::new(&bytes, Ends::Marked);

        assert_eq!(reader.next().unwrap().unwrap().content, &bytes[2..10]);
        assert_eq!(reader.next().unwrap().unwrap().tag, 0x02);
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn refuses_other_forms_of_lengths_and_tags() {
        for (bytes, expected) in [
            (&[0x30, 0x81, 0x7f][..], BerRefused::LengthForm),
            (&[0x30, 0x82, 0x00, 0xff], BerRefused::LengthForm),
            (&[0x30, 0x83, 0x00, 0xff, 0xff], BerRefused::LengthForm),
            (&[0x30, 0x84, 0x01, 0x00, 0x00, 0x00], BerRefused::LengthForm),
            (&[0x30, 0xff], BerRefused::LengthForm),
            (&[0x04, 0x80, 0x00, 0x00], BerRefused::LengthForm), // only what holds elements may have an open end
            (&[0x1f, 0x81, 0x01, 0x00], BerRefused::TagForm { found: 0x1f }),
            (&[0x00, 0x00], BerRefused::TagForm { found: 0 }),
            (&[0x30], BerRefused::Short),
            (&[0x30, 0x01], BerRefused::Short),
            (&[0x30, 0x82, 0x01], BerRefused::Short),
            (&[0x30, 0x80], BerRefused::Short),
            (&[0x30, 0x80, 0x00], BerRefused::TagForm { found: 0 }),
            (&[0x30, 0x80, 0x02, 0x01, 0x05], BerRefused::Short),
        ] {
            assert_eq!(first(bytes), Err(expected), "{bytes:02x?}");
        }
    }

    #[test]
    fn where_lengths_are_told_no_end_is_open() {
        let bytes = [0x30, 0x80, 0x00, 0x00];

        assert!(Reader::new(&bytes, Ends::Marked).next().is_ok());
        assert_eq!(
            Reader::new(&bytes, Ends::Told).next(),
            Err(BerRefused::Open { tag: 0x30 })
        );
    }

    #[test]
    fn t_32_a_hundred_thousand_levels_cost_nothing() {
        let deep = [0x30, 0x80].repeat(100_000);

        assert_eq!(first(&deep), Err(BerRefused::Depth));
    }

    #[test]
    fn t_32_takes_12_levels_and_refuses_13() {
        let nested = |levels: usize| {
            let mut bytes = [0x30, 0x80].repeat(levels);
            bytes.extend([0, 0].repeat(levels));
            first(&bytes).map(|_| ())
        };

        assert_eq!(nested(12), Ok(()));
        assert_eq!(nested(13), Err(BerRefused::Depth));
    }
}
