//! The XML of answers.

use std::borrow::Cow;

use quick_xml::escape::escape;

use crate::protocol::convert::is_xml_character;

/// A part of an answer that is being written. Names are ours and need no escaping; texts may be anything.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Xml(String);

impl Xml {
    /// Nothing yet.
    pub(in crate::protocol) fn new() -> Self {
        Self::default()
    }

    /// A document whose root is opened; [`Xml::finish`] closes it.
    pub(super) fn document(root: &str, namespace: &str) -> Self {
        Self(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{namespace}\">"))
    }

    pub(super) fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.0
    }

    pub(in crate::protocol) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `<name>text</name>`
    pub(in crate::protocol) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        self.0.push_str(&escaped(text));
        self.close(name);
    }

    /// The element, if there is a text for it.
    pub(in crate::protocol) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// An element with what `content` writes.
    pub(in crate::protocol) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    /// An element around a part that is written.
    pub(super) fn nest(&mut self, name: &str, part: &Self) {
        self.element(name, |xml| xml.0.push_str(&part.0));
    }

    /// A list: `<name><member>…</member>…</name>`.
    pub(in crate::protocol) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut member: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| member(xml, item));
            }
        });
    }

    /// A list of texts.
    pub(in crate::protocol) fn texts<T: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = T>) {
        self.element(name, |xml| {
            for text in texts {
                xml.text("member", text.as_ref());
            }
        });
    }

    /// A list of tags.
    pub(in crate::protocol) fn tags(&mut self, name: &str, tags: &[(String, String)]) {
        self.list(name, tags, |xml, (key, value)| {
            xml.text("Key", key);
            xml.text("Value", value);
        });
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}

/// What XML 1.0 cannot hold becomes U+FFFD; a carriage return is written so that a reader does not drop it.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| is_xml_character(character) && character != '\r') {
        return escape(text);
    }
    let legal: String = text
        .chars()
        .map(|character| if is_xml_character(character) { character } else { char::REPLACEMENT_CHARACTER })
        .collect();
    Cow::Owned(escape(&legal).replace('\r', "&#13;"))
}

/// The inverse, for texts that this server wrote.
pub(super) fn unescaped(text: &str) -> String {
    quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_written_and_read() {
        let mut xml = Xml::new();
        xml.element("A", |xml| {
            xml.text("B", "<&>\"'\r\n\u{1}ä");
            xml.optional("C", None);
            xml.texts("D", ["x", "y"]);
            xml.tags("E", &[("k".to_owned(), "v".to_owned())]);
        });
        assert_eq!(
            xml.0,
            "<A><B>&lt;&amp;&gt;&quot;&apos;&#13;\n\u{fffd}ä</B><D><member>x</member><member>y</member></D><E><member><Key>k</Key><Value>v</Value></member></E></A>"
        );
        assert_eq!(unescaped("a &lt;&amp;&gt; &#13;"), "a <&> \r");
    }
}
