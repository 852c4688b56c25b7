//! Colours, where they are wanted.

use std::fmt::{self, Display};
use std::io::IsTerminal;

use owo_colors::{OwoColorize, Style};

use crate::cli::Colour;

/// Whether standard output and standard error get colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paints {
    pub(crate) out: Paint,
    /// What reports and progress are written to.
    pub(crate) err: Paint,
}

impl Paints {
    pub(crate) fn new(colour: Colour) -> Self {
        let wanted = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Paints {
            out: Paint(wanted(std::io::stdout().is_terminal())),
            err: Paint(wanted(std::io::stderr().is_terminal())),
        }
    }
}

/// Whether one output gets colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// What is read last: sizes, times, punctuation.
    pub(crate) fn faint<T: Display>(self, text: T) -> impl Display {
        self.with(Style::new().dimmed(), text)
    }

    /// What is looked for first: uris, names.
    pub(crate) fn name<T: Display>(self, text: T) -> impl Display {
        self.with(Style::new().bold().cyan(), text)
    }

    /// What went well.
    pub(crate) fn good<T: Display>(self, text: T) -> impl Display {
        self.with(Style::new().green(), text)
    }

    /// What did not.
    pub(crate) fn bad<T: Display>(self, text: T) -> impl Display {
        self.with(Style::new().bold().red(), text)
    }

    fn with<T: Display>(self, style: Style, text: T) -> impl Display {
        Painted { style: self.0.then_some(style), text }
    }
}

struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{}", self.text.style(style)),
            None => self.text.fmt(f),
        }
    }
}
