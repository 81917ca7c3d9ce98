import CPlatform

/// How many descriptors this process may have open.
public enum DescriptorLimit {
    /// Raises it as far as wanted, if the hard limit allows that.
    ///
    /// - Returns: the limit then.
    @discardableResult
    public static func raise(to wanted: UInt64) throws(SystemError) -> UInt64 {
        UInt64(try checked(apus_raise_descriptor_limit(wanted), "raise the limit of descriptors to \(wanted)"))
    }
}
