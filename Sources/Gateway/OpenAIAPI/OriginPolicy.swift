/// Which Host and Origin headers a request may carry.
///
/// On a loopback address the server trusts whoever can connect, and a web page that a user visits can connect: by a
/// foreign Origin, or by a name that was made to resolve to 127.0.0.1. Both are refused.
public struct OriginPolicy: Sendable {
    private let allowedHosts: Set<String>
    private let allowedOrigins: Set<String>
    private let checksHost: Bool

    /// - Parameters:
    ///   - allowedHosts: names besides localhost and IP addresses.
    ///   - allowedOrigins: exact origins of other pages, such as `https://chat.example`.
    ///   - isLoopback: whether the server listens on a loopback address only.
    public init(allowedHosts: [String], allowedOrigins: [String], isLoopback: Bool) {
        self.allowedHosts = Set(allowedHosts.map { $0.lowercased() })
        self.allowedOrigins = Set(allowedOrigins.map { $0.lowercased() })
        checksHost = isLoopback
    }

    /// - Parameter host: the value of the Host header, with or without a port.
    public func allows(host: String) -> Bool {
        guard checksHost else { return true }
        let name = Self.name(ofHost: host.lowercased())
        return name == "localhost" || Self.isAddress(name) || allowedHosts.contains(name)
    }

    /// - Parameters:
    ///   - origin: the value of the Origin header.
    ///   - host: the value of the Host header, for which the server's own page is no stranger.
    public func allows(origin: String, host: String) -> Bool {
        let origin = origin.lowercased()
        return origin == "http://" + host.lowercased() || origin == "https://" + host.lowercased()
            || allowedOrigins.contains(origin)
    }

    /// Whether answers may tell the browser that a page of `origin` can read them.
    public func sharesAnswers(withOrigin origin: String) -> Bool { allowedOrigins.contains(origin.lowercased()) }

    private static func name(ofHost host: String) -> String {
        if host.hasPrefix("[") { return String(host.prefix { $0 != "]" }) + "]" }
        return String(host.prefix { $0 != ":" })
    }

    private static func isAddress(_ name: String) -> Bool {
        if name.hasPrefix("[") && name.hasSuffix("]") {
            return name.dropFirst().dropLast().allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }
}
