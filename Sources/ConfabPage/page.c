/* The chat's page is a resource of this target, so that a build puts it beside each program. What a build makes for
 * resources of a Swift target imports Foundation, which is larger than all of Confab; for one of C it makes nothing. */
