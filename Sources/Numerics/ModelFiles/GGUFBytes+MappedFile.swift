public import Platform

extension GGUFBytes {
    /// The bytes of a mapped file.
    ///
    /// The file must not be cut short while it is mapped: reading the missing part ends the process.
    public convenience init(mapping: MappedFile) {
        self.init(bytes: mapping.bytes, owner: mapping)
    }
}
