//! The bindings of the points' contracts, made from what `contracts/export` wrote of the build output.

/// The token's code, for which a proxy stands.
pub(crate) mod loyalty_points {
    alloy::sol!(
        #[derive(Debug)]
        LoyaltyPoints,
        "abi/LoyaltyPoints.json"
    );
}

/// What makes the token, its gateway and its timelock in one transaction.
pub(crate) mod points_deployment {
    alloy::sol!(
        #[derive(Debug)]
        PointsDeployment,
        "abi/PointsDeployment.json"
    );
}

/// The way between the books and the token.
pub(crate) mod points_gateway {
    alloy::sol!(
        #[derive(Debug)]
        PointsGateway,
        "abi/PointsGateway.json"
    );
}

/// Whoever changes the token announces it here.
pub(crate) mod timelock {
    alloy::sol!(
        #[derive(Debug)]
        TimelockController,
        "abi/TimelockController.json"
    );
}
