/// What tells the families apart: there is no function that says the version.
///
/// A wrong guess is silent corruption at best, so all witnesses have to agree on exactly one family.
struct FamilyEvidence: Equatable {
    /// What the operator says.
    var configured: RuntimeFamily?
    /// `major * 10000 + minor * 100 + patch`; 0: nothing was found.
    var bannerVersion = 0
    var exportsClearing = false
    var exportsCacheSizes = false
    /// The default parameters as bytes, whatever their structure.
    var defaults: [UInt8] = []

    /// The one family that nothing speaks against; nil where there is none, or more than one.
    var family: RuntimeFamily? {
        let left = witnesses.reduce(Set(RuntimeFamily.allCases)) { $0.intersection($1.families) }
        return left.count == 1 ? left.first : nil
    }

    /// What each witness says, for people.
    var text: String {
        let words = witnesses.map { witness in
            "\(witness.name) \(witness.families.sorted().map(\.rawValue).joined(separator: " or "))"
        }
        return words.joined(separator: ", ")
    }

    private struct Witness {
        let name: String
        let families: Set<RuntimeFamily>
    }

    private var witnesses: [Witness] {
        var found = [Witness(name: "its functions say", families: byFunctions)]
        if let configured { found.append(Witness(name: "the configuration says", families: [configured])) }
        if let family = byBanner { found.append(Witness(name: "its banner says", families: [family])) }
        if let family = byDefaults { found.append(Witness(name: "its default parameters say", families: [family])) }
        return found
    }

    private var byFunctions: Set<RuntimeFamily> {
        if !exportsClearing { return [.release11] }
        return exportsCacheSizes ? [.release12, .release13] : [.release120]
    }

    private var byBanner: RuntimeFamily? {
        switch bannerVersion {
        case 1_01_00..<1_02_00: .release11
        case 1_02_00: .release120
        case 1_02_01..<1_03_00: .release12
        case 1_03_00..<1_04_00: .release13
        default: nil
        }
    }

    /// The number of processors and the batch size have defaults above 0, and lie at places of their own in each family.
    private var byDefaults: RuntimeFamily? {
        guard defaults.count > 100 else { return nil }
        let processors: ClosedRange<UInt8> = 1...8
        let is13 = processors.contains(defaults[65]) && defaults[72] == 1
        let is12 = processors.contains(defaults[93])
        guard is13 != is12 else { return nil }
        return is13 ? .release13 : defaults[100] == 1 ? .release12 : .release120
    }
}
