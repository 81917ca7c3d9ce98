public import Platform
public import Tensors

extension GGUFBytes: WeightOwner {
    /// The bytes of a mapped file.
    ///
    /// The file must not be cut short while it is mapped: reading the missing part ends the process.
    public convenience init(mapping: MappedFile) {
        self.init(bytes: mapping.bytes, owner: mapping)
    }

    /// Lets the system drop the pages of a mapped file; they are read again when they are used again.
    public func discard(_ bytes: UnsafeRawBufferPointer) { (owner as? MappedFile)?.discard(bytes) }
}
