//! Every error the v2 API can answer, as one table.
//!
//! Numbers, names and statuses are those of the original controller; clients key their behaviour on
//! them. 10015 and the rows marked as later in the reference came after the generation we announce.

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The number old clients read (`code`).
    pub code: u32,
    /// The name without its `CF-` prefix; newer clients read `CF-<name>` (`error_code`).
    pub name: &'static str,
    /// HTTP status of the answer.
    pub http: u16,
    /// Message; each `%s` stands for one detail, in order.
    pub message: &'static str,
}

macro_rules! error_table {
    ($($code:literal $name:ident $http:literal $message:literal;)*) => {
        /// The name of a row of [`TABLE`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $message] $name,)*
        }

        const ALL: &[Code] = &[$(Code::$name,)*];

        /// All rows, ordered by code.
        pub const TABLE: &[ErrorRow] = &[
            $(ErrorRow { code: $code, name: stringify!($name), http: $http, message: $message },)*
        ];
    };
}

impl Code {
    /// The row of this code.
    pub fn row(self) -> &'static ErrorRow {
        &TABLE[self as usize]
    }

    /// The code with this name (without `CF-`), as staging failures store it.
    pub fn by_name(name: &str) -> Option<Code> {
        ALL.iter().copied().find(|code| code.row().name == name)
    }
}

error_table! {
    1000 InvalidAuthToken 401 "Invalid Auth Token";
    1001 MessageParseError 400 "Request invalid due to parse error: %s";
    1002 InvalidRelation 400 "Invalid relation: %s";
    1003 InvalidContentType 400 "Invalid content type, expected: %s";
    10000 NotFound 404 "Unknown request";
    10001 ServerError 500 "Server error";
    10002 NotAuthenticated 401 "Authentication error";
    10003 NotAuthorized 403 "You are not authorized to perform the requested action";
    10004 InvalidRequest 400 "The request is invalid";
    10005 BadQueryParameter 400 "The query parameter is invalid: %s";
    10006 AssociationNotEmpty 400 "Please delete the %s associations for your %s.";
    10007 InsufficientScope 403 "Your token lacks the necessary scopes to access this resource.";
    10008 UnprocessableEntity 422 "The request is semantically invalid: %s";
    10009 UnableToPerform 400 "%s could not be completed: %s";
    10010 ResourceNotFound 404 "%s";
    10011 DatabaseError 500 "Database error";
    10015 ServiceUnavailable 503 "%s";
    20001 UserInvalid 400 "The user info is invalid: %s";
    20002 UaaIdTaken 400 "The UAA ID is taken: %s";
    20003 UserNotFound 404 "The user could not be found: %s";
    20004 UaaUnavailable 503 "The UAA service is currently unavailable";
    30001 OrganizationInvalid 400 "The organization info is invalid: %s";
    30002 OrganizationNameTaken 400 "The organization name is taken: %s";
    30003 OrganizationNotFound 404 "The organization could not be found: %s";
    40001 SpaceInvalid 400 "The app space info is invalid: %s";
    40002 SpaceNameTaken 400 "The app space name is taken: %s";
    40003 SpaceUserNotInOrg 400 "The app space and the user are not in the same org: %s";
    40004 SpaceNotFound 404 "The app space could not be found: %s";
    60001 ServiceInstanceNameEmpty 400 "Service instance name is required.";
    60002 ServiceInstanceNameTaken 400 "The service instance name is taken: %s";
    60003 ServiceInstanceInvalid 400 "The service instance is invalid: %s";
    60004 ServiceInstanceNotFound 404 "The service instance could not be found: %s";
    60005 ServiceInstanceQuotaExceeded 400 "You have exceeded your organization's services limit.";
    60007 ServiceInstanceServicePlanNotAllowed 400 "The service instance cannot be created because paid service plans are not allowed.";
    60009 ServiceInstanceNameTooLong 400 "You have requested an invalid service instance name. Names are limited to 50 characters.";
    60010 ServiceInstanceOrganizationNotAuthorized 403 "A service instance for the selected plan cannot be created in this organization.";
    60012 ServiceInstanceSpaceQuotaExceeded 400 "You have exceeded your space's services limit.";
    60015 ServiceInstanceTagsTooLong 400 "Combined length of tags for service %s must be 255 characters or less.";
    60016 AsyncServiceInstanceOperationInProgress 409 "An operation for service instance %s is in progress.";
    90001 ServiceBindingInvalid 400 "The service binding is invalid: %s";
    90003 ServiceBindingAppServiceTaken 400 "The app space binding to service is taken: %s";
    90004 ServiceBindingNotFound 404 "The service binding could not be found: %s";
    90005 UnbindableService 400 "The service doesn't support binding.";
    100001 AppInvalid 400 "The app is invalid: %s";
    100002 AppNameTaken 400 "The app name is taken: %s";
    100004 AppNotFound 404 "The app could not be found: %s";
    100005 AppMemoryQuotaExceeded 400 "You have exceeded your organization's memory limit.";
    100006 AppMemoryInvalid 400 "You have specified an invalid amount of memory for your application.";
    100007 QuotaInstanceMemoryLimitExceeded 400 "You have exceeded the instance memory limit for your organization's quota.";
    100008 QuotaInstanceLimitExceeded 400 "You have exceeded the instance limit for your organization's quota.";
    110001 ServicePlanInvalid 400 "The service plan is invalid: %s";
    110003 ServicePlanNotFound 404 "The service plan could not be found: %s";
    110004 ServicePlanNotUpdateable 400 "The service does not support changing plans.";
    120003 ServiceNotFound 404 "The service could not be found: %s";
    130001 DomainInvalid 400 "The domain is invalid: %s";
    130002 DomainNotFound 404 "The domain could not be found: %s";
    130003 DomainNameTaken 400 "The domain name is taken: %s";
    130004 PathInvalid 400 "The path is invalid: %s";
    130005 TotalPrivateDomainsExceeded 400 "The number of private domains exceeds the quota for organization: %s";
    130008 ServiceInstanceAlreadyBoundToSameRoute 400 "The route and service instance are already bound.";
    150001 AppPackageInvalid 400 "The app package is invalid: %s";
    150002 AppPackageNotFound 404 "The app package could not be found: %s";
    150003 InsufficientRunningResourcesAvailable 503 "One or more instances could not be started because of insufficient running resources.";
    160001 AppBitsUploadInvalid 400 "The app upload is invalid: %s";
    160002 AppBitsCopyInvalid 400 "The app copy is invalid: %s";
    160003 AppResourcesFileModeInvalid 400 "The resource file mode is invalid: %s";
    160004 AppResourcesFilePathInvalid 400 "The resource file path is invalid: %s";
    170001 StagingError 400 "Staging error: %s";
    170002 NotStaged 400 "App has not finished staging";
    170003 NoAppDetectedError 400 "An app was not successfully detected by any available buildpack";
    170004 BuildpackCompileFailed 400 "App staging failed in the buildpack compile phase";
    170005 BuildpackReleaseFailed 400 "App staging failed in the buildpack release phase";
    170006 NoBuildpacksFound 400 "There are no buildpacks available";
    170007 StagingTimeExpired 504 "Staging time expired: %s";
    170008 InsufficientResources 400 "Insufficient resources";
    190001 FileError 400 "File error: %s";
    200001 StatsError 400 "Stats error: %s";
    200002 StatsUnavailable 503 "Stats unavailable: %s";
    200003 AppStoppedStatsError 400 "Could not fetch stats for stopped app: %s";
    210001 RouteInvalid 400 "The route is invalid: %s";
    210002 RouteNotFound 404 "The route could not be found: %s";
    210003 RouteHostTaken 400 "The host is taken: %s";
    210004 RoutePathTaken 400 "The path is taken: %s";
    210006 RouteMappingTaken 400 "The route mapping is taken: %s";
    220001 InstancesError 400 "Instances error: %s";
    220002 InstancesUnavailable 503 "Instances information unavailable: %s";
    230002 EventNotFound 404 "Event could not be found: %s";
    240001 QuotaDefinitionNotFound 404 "Quota Definition could not be found: %s";
    240002 QuotaDefinitionNameTaken 400 "Quota Definition is taken: %s";
    240003 QuotaDefinitionInvalid 400 "Quota Definition is invalid: %s";
    240004 QuotaDefinitionMemoryLimitNegative 400 "Quota Definition memory limit cannot be negative";
    250001 StackInvalid 400 "The stack is invalid: %s";
    250002 StackNameTaken 400 "The stack name is taken: %s";
    250003 StackNotFound 404 "The stack could not be found: %s";
    260001 ServicePlanVisibilityInvalid 400 "Service Plan Visibility is invalid: %s";
    260002 ServicePlanVisibilityAlreadyExists 400 "This combination of ServicePlan and Organization is already taken: %s";
    260003 ServicePlanVisibilityNotFound 404 "The service plan visibility could not be found: %s";
    270001 ServiceBrokerInvalid 400 "Service broker is invalid: %s";
    270002 ServiceBrokerNameTaken 400 "The service broker name is taken: %s";
    270003 ServiceBrokerUrlTaken 400 "The service broker url is taken: %s";
    270004 ServiceBrokerNotFound 404 "The service broker was not found: %s";
    270010 ServiceBrokerNotRemovable 400 "Can not remove brokers that have associated service instances: %s";
    270011 ServiceBrokerUrlInvalid 400 "%s is not a valid URL";
    270012 ServiceBrokerCatalogInvalid 502 "Service broker catalog is invalid: %s";
    290001 BuildpackNameTaken 400 "The buildpack name is already in use: %s";
    290002 BuildpackBitsUploadInvalid 400 "The buildpack upload is invalid: %s";
    290003 BuildpackInvalid 400 "Buildpack is invalid: %s";
    290004 CustomBuildpacksDisabled 400 "Custom buildpacks are disabled";
    290005 BuildpackLocked 409 "The buildpack is locked";
    290006 JobTimeout 524 "The job execution has timed out.";
    290008 SpaceDeletionFailed 502 "Deletion of space %s failed: %s";
    290010 OrganizationDeletionFailed 502 "Deletion of organization %s failed: %s";
    300001 SecurityGroupInvalid 400 "The security group is invalid: %s";
    300002 SecurityGroupNotFound 404 "The security group could not be found: %s";
    300005 SecurityGroupNameTaken 400 "The security group name is taken: %s";
    310001 SpaceQuotaDefinitionInvalid 400 "Space Quota Definition is invalid: %s";
    310002 SpaceQuotaDefinitionNameTaken 400 "The space quota definition name is taken: %s";
    310003 SpaceQuotaMemoryLimitExceeded 400 "You have exceeded your space's memory limit.";
    310004 SpaceQuotaInstanceMemoryLimitExceeded 400 "You have exceeded the instance memory limit for your space's quota.";
    310005 SpaceQuotaTotalRoutesExceeded 400 "You have exceeded the total routes for your space's quota.";
    310006 OrgQuotaTotalRoutesExceeded 400 "You have exceeded the total routes for your organization's quota.";
    310007 SpaceQuotaDefinitionNotFound 404 "Space Quota Definition could not be found: %s";
    310008 SpaceQuotaInstanceLimitExceeded 400 "You have exceeded the instance limit for your space's quota.";
    320001 DiegoDisabled 400 "Diego has not been enabled.";
    320003 DockerDisabled 400 "Docker support has not been enabled.";
    330000 FeatureFlagNotFound 404 "The feature flag could not be found: %s";
    330001 FeatureFlagInvalid 400 "The feature flag is invalid: %s";
    330002 FeatureDisabled 403 "Feature Disabled: %s";
    340001 UserProvidedServiceInstanceNotFound 404 "The service instance could not be found: %s";
    360001 ServiceKeyNameTaken 400 "The service key name is taken: %s";
    360002 ServiceKeyInvalid 400 "The service key is invalid: %s";
    360003 ServiceKeyNotFound 404 "The service key could not be found: %s";
    380001 EnvironmentVariableGroupInvalid 400 "The Environment Variable Group is invalid: %s";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_ordered() {
        for pair in TABLE.windows(2) {
            assert!(
                pair[0].code < pair[1].code,
                "{} before {}",
                pair[0].code,
                pair[1].code
            );
        }
        let mut names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn a_code_finds_its_own_row() {
        // (typed from the reference, not read from the table)
        let expected = [
            (Code::InvalidAuthToken, 1000, 401),
            (Code::AssociationNotEmpty, 10006, 400),
            (Code::AppNotFound, 100004, 404),
            (Code::InsufficientRunningResourcesAvailable, 150003, 503),
            (Code::StagingTimeExpired, 170007, 504),
            (Code::JobTimeout, 290006, 524),
            (Code::EnvironmentVariableGroupInvalid, 380001, 400),
        ];
        for (code, number, http) in expected {
            assert_eq!((code.row().code, code.row().http), (number, http));
        }
    }

    #[test]
    fn staging_reasons_resolve_by_name() {
        assert_eq!(
            Code::by_name("NoAppDetectedError"),
            Some(Code::NoAppDetectedError)
        );
        assert_eq!(Code::by_name("NoSuchThing"), None);
    }
}
