//! Prints what has more than one number a line, and so no place in the table of bounds.

/// A small table of its own: a name on the left, numbers on the right.
pub struct Columns {
    left: usize,
    right: usize,
}

impl Columns {
    /// Prints the heads. `left` is how wide the names are.
    pub fn begin(title: &str, left: usize, heads: &[&str]) -> Self {
        let right = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0).max(8) + 2;
        let columns = Self { left, right };
        columns.line(title, heads);
        columns
    }

    /// Prints a line.
    pub fn line(&self, name: &str, cells: &[impl AsRef<str>]) {
        let Self { left, right } = self;
        print!("    {name:<left$}");
        for cell in cells {
            print!("{:>right$}", cell.as_ref());
        }
        println!();
    }

    /// Prints a remark on what was printed.
    pub fn remark(&self, text: &str) {
        self.line(text, &[""; 0]);
    }
}

impl Drop for Columns {
    fn drop(&mut self) {
        println!();
    }
}
